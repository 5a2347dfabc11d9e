-- Appends entries, each unless its idempotency key is known. Stands behind store.lua.
-- ARGV: epoch; how many events and bytes are kept, and how long in microseconds (0: no limit); how many idempotency keys, and how
-- long; for each entry: check, entry; '+' and its publisher's id, or ''; '+' and its idempotency key, or ''; fingerprint.
-- Answers for each {'stored', position}, {'same', position, check} or {'other'} where the key is known; nothing if this is not the
-- log of that epoch.

local events_max, bytes_max, age_max = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local keys_max, key_age_max = tonumber(ARGV[5]), tonumber(ARGV[6])
-- How often it is looked at what may be kept, in entries; of a number of events it is known without looking.
local TRIMMED_EVERY = 64

local said = redis.call('HMGET', meta, 'fanfare.format', 'fanfare.epoch', 'seq', 'check', 'at', 'bytes')
if said[1] ~= '1' or said[2] ~= ARGV[1] then
  return {}
end
local time = redis.call('TIME')
-- Times never fall, however the clock is set.
local at = math.max(tonumber(time[1]) * 1000000 + tonumber(time[2]), tonumber(said[5]))

-- Everything that could fail for its kind is read before anything is written.
redis.call('LLEN', order)
redis.call('HLEN', keys)
redis.call('XLEN', ids)

-- What is known of a key, as it is answered.
local function known(key, fingerprint)
  local used = key ~= '' and keys_max > 0 and redis.call('HGET', keys, key)
  if not used then
    return nil
  end
  local used_position, used_check, used_fingerprint, used_at = use(used)
  if at - tonumber(used_at) >= key_age_max then
    return nil
  end
  if used_fingerprint ~= fingerprint then
    return { 'other' }
  end
  return { 'same', used_position, used_check }
end

local first = tonumber(said[3])
local number, before, bytes = first, said[4], tonumber(said[6])
local answers = {}
for place = 7, #ARGV, 5 do
  local check, entry, id, key, fingerprint = ARGV[place], ARGV[place + 1], ARGV[place + 2], ARGV[place + 3], ARGV[place + 4]
  local answer = known(key, fingerprint)
  if not answer then
    number = number + 1
    bytes = store(number, before, bytes, check, entry, id, key, fingerprint, at, keys_max, key_age_max)
    before = check
    answer = { 'stored', written(number) }
  end
  answers[#answers + 1] = answer
end
if events_max > 0 and number > first and number > events_max then
  local kept = written(number + 1 - events_max) .. '-0'
  redis.call('XTRIM', log, 'MINID', kept)
  redis.call('XTRIM', ids, 'MINID', kept)
end
if math.floor(number / TRIMMED_EVERY) > math.floor(first / TRIMMED_EVERY) then
  trim(log, ids, number + 1, at, bytes, 0, bytes_max, age_max)
end
return answers
