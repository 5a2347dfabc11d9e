-- Begins a log, unless there is something already. KEYS: meta, log. ARGV: what meta is to hold.

if redis.call('EXISTS', KEYS[1], KEYS[2]) == 0 then
  redis.call('HSET', KEYS[1], unpack(ARGV))
end
