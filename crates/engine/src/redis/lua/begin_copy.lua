-- Begins what is to become a copy of a log, in the place of nothing or of another that was not finished.
-- KEYS: meta, log, and all others of the hub's. ARGV: what meta is to hold. Answers 1, or 0 if there is something else.

if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 and redis.call('HGET', KEYS[1], 'fanfare.format') ~= 'copying' then
  return 0
end
redis.call('DEL', unpack(KEYS))
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
