-- Drops what may not be kept any more. Stands behind trim.lua.
-- KEYS: meta, log, ids. ARGV: epoch; how many events and bytes are kept, and how long in microseconds (0: no limit).

local said = redis.call('HMGET', KEYS[1], 'fanfare.epoch', 'seq', 'at', 'bytes')
if said[1] ~= ARGV[1] then
  return
end
local time = redis.call('TIME')
local at = math.max(tonumber(time[1]) * 1000000 + tonumber(time[2]), tonumber(said[3]))
trim(KEYS[2], KEYS[3], tonumber(said[2]) + 1, at, tonumber(said[4]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]))
