-- Gives the log another epoch, unless somebody has. KEYS: meta. ARGV: the epoch that it had, and the one that it is to have.

if redis.call('HGET', KEYS[1], 'fanfare.epoch') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'fanfare.epoch', ARGV[2])
end
