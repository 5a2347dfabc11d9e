-- Appends an entry, unless its idempotency key is known. Stands behind trim.lua.
-- KEYS: meta, log, ids, keys, order.
-- ARGV: epoch, check, entry; '+' and its publisher's id, or ''; '+' and its idempotency key, or ''; fingerprint;
-- how many events and bytes are kept, and how long in microseconds (0: no limit); how many idempotency keys, and how long.
-- Answers {'stored', position}, {'same', position, check} or {'other'} where the key is known, and {'anew'} if this is not the log
-- of that epoch.

local meta, log, ids, keys, order = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local epoch, check, entry, id, key, fingerprint = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local events_max, bytes_max, age_max = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local keys_max, key_age_max = tonumber(ARGV[10]), tonumber(ARGV[11])
-- What an entry takes beside itself, about.
local ENTRY_BYTES = 64
-- How often it is looked at what may be kept, in entries; of a number of events it is known without looking.
local TRIMMED_EVERY = 64
-- How many idempotency keys are forgotten at a time.
local FORGOTTEN_MAX = 100

local said = redis.call('HMGET', meta, 'fanfare.format', 'fanfare.epoch', 'seq', 'check', 'at', 'bytes')
if said[1] ~= '1' or said[2] ~= epoch then
  return { 'anew' }
end
local time = redis.call('TIME')
-- Times never fall, however the clock is set.
local at = math.max(tonumber(time[1]) * 1000000 + tonumber(time[2]), tonumber(said[5]))

-- A use of a key, as it is written: its position, check, fingerprint and time.
local function use(text)
  return string.match(text, '^(%d+) (%x+) (%x+) (%d+)$')
end

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
local position = written(number)
local bytes = tonumber(said[6]) + #entry + ENTRY_BYTES
-- The first write: if Redis takes none, for want of memory, of replicas or of its disk, nothing has happened.
redis.call('XADD', log, position .. '-0', 'p', said[4], 't', written(at), 'b', written(bytes), 'e', entry)
redis.call('HSET', meta, 'seq', position, 'check', check, 'at', written(at), 'bytes', written(bytes))
if id ~= '' then
  redis.call('XADD', ids, position .. '-0', 'i', string.sub(id, 2))
end

if key ~= '' and keys_max > 0 then
  redis.call('HSET', keys, key, position .. ' ' .. check .. ' ' .. fingerprint .. ' ' .. written(at))
  redis.call('RPUSH', order, position .. ' ' .. key)
  local left = redis.call('LLEN', order)
  for _ = 1, FORGOTTEN_MAX do
    local oldest = redis.call('LINDEX', order, 0)
    local ends = string.find(oldest, ' ', 1, true)
    local of, used_key = string.sub(oldest, 1, ends - 1), string.sub(oldest, ends + 1)
    local used = redis.call('HGET', keys, used_key)
    local used_position, _, _, used_at = use(used or '')
    local is_newest_use = used_position == of
    if is_newest_use and left <= keys_max and at - tonumber(used_at) < key_age_max then
      break
    end
    redis.call('LPOP', order)
    left = left - 1
    if is_newest_use then
      redis.call('HDEL', keys, used_key)
    end
    if left == 0 then
      break
    end
  end
end

if events_max > 0 and number > events_max then
  local kept = written(number + 1 - events_max) .. '-0'
  redis.call('XTRIM', log, 'MINID', kept)
  redis.call('XTRIM', ids, 'MINID', kept)
end
if number % TRIMMED_EVERY == 0 then
  trim(log, ids, number + 1, at, bytes, 0, bytes_max, age_max)
end
return { 'stored', position }
