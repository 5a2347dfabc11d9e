-- Appends an entry, unless its idempotency key is known. Stands behind store.lua.
-- ARGV: epoch; how many events and bytes are kept, and how long in microseconds (0: no limit); how many idempotency keys, and how
-- long; check, entry; '+' and its publisher's id, or ''; '+' and its idempotency key, or ''; fingerprint.
-- Answers {'stored', position}, {'same', position, check} or {'other'} where the key is known, and {'anew'} if this is not the log
-- of that epoch.

local events_max, bytes_max, age_max = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local keys_max, key_age_max = tonumber(ARGV[5]), tonumber(ARGV[6])
local check, entry, id, key, fingerprint = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
-- How often it is looked at what may be kept, in entries; of a number of events it is known without looking.
local TRIMMED_EVERY = 64

local said = redis.call('HMGET', meta, 'fanfare.format', 'fanfare.epoch', 'seq', 'check', 'at', 'bytes')
if said[1] ~= '1' or said[2] ~= ARGV[1] then
  return { 'anew' }
end
local time = redis.call('TIME')
-- Times never fall, however the clock is set.
local at = math.max(tonumber(time[1]) * 1000000 + tonumber(time[2]), tonumber(said[5]))

-- Everything that could fail for its kind is read before anything is written.
if key ~= '' and keys_max > 0 then
  redis.call('LLEN', order)
  local used = redis.call('HGET', keys, key)
  if used then
    local used_position, used_check, used_fingerprint, used_at = use(used)
    if at - tonumber(used_at) < key_age_max then
      if used_fingerprint ~= fingerprint then
        return { 'other' }
      end
      return { 'same', used_position, used_check }
    end
  end
end
if id ~= '' then
  redis.call('XLEN', ids)
end

local number = tonumber(said[3]) + 1
local bytes = store(number, said[4], tonumber(said[6]), check, entry, id, key, fingerprint, at, keys_max, key_age_max)
if events_max > 0 and number > events_max then
  local kept = written(number + 1 - events_max) .. '-0'
  redis.call('XTRIM', log, 'MINID', kept)
  redis.call('XTRIM', ids, 'MINID', kept)
end
if number % TRIMMED_EVERY == 0 then
  trim(log, ids, number + 1, at, bytes, 0, bytes_max, age_max)
end
return { 'stored', written(number) }
