-- Stores entries of a copy that was begun. Stands behind store.lua.
-- ARGV: the position that the first is to have; how many events and bytes are kept, and how long in microseconds (0: no limit); how
-- many idempotency keys, and how long; for each entry: check, entry, id, key, fingerprint, as for append.lua, and its time.
-- Answers the position of the newest entry: another one than the last of these, if this is not the copy that was begun.

local events_max, bytes_max, age_max = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local keys_max, key_age_max = tonumber(ARGV[5]), tonumber(ARGV[6])
local said = redis.call('HMGET', meta, 'fanfare.format', 'seq', 'check', 'at', 'bytes')
local number, before, at, bytes = tonumber(said[2]), said[3], tonumber(said[4]), tonumber(said[5])
if said[1] ~= 'copying' or number + 1 ~= tonumber(ARGV[1]) then
  return said[2] or '0'
end
for place = 7, #ARGV, 6 do
  local check, entry, id, key, fingerprint = ARGV[place], ARGV[place + 1], ARGV[place + 2], ARGV[place + 3], ARGV[place + 4]
  number = number + 1
  at = math.max(at, tonumber(ARGV[place + 5]))
  bytes = store(number, before, bytes, check, entry, id, key, fingerprint, at, keys_max, key_age_max)
  before = check
end
trim(log, ids, number + 1, at, bytes, events_max, bytes_max, age_max)
return written(number)
