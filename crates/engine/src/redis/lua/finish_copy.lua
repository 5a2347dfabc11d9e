-- Makes a copy a log. KEYS: meta. ARGV: the newest position that it has to have. Answers 1, or 0 if it is not what was begun.

local said = redis.call('HMGET', KEYS[1], 'fanfare.format', 'seq')
if said[1] ~= 'copying' or said[2] ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'fanfare.format', '1')
return 1
