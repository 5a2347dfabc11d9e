-- Stores one entry, and remembers its publisher's id and its idempotency key. Stands behind trim.lua.
-- KEYS: meta, log, ids, keys, order.

local meta, log, ids, keys, order = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
-- What an entry takes beside itself, about.
local ENTRY_BYTES = 64
-- How many idempotency keys are forgotten at a time.
local FORGOTTEN_MAX = 100

-- A use of a key, as it is written: its position, check, fingerprint and time.
local function use(text)
  return string.match(text, '^(%d+) (%x+) (%x+) (%d+)$')
end

-- Forgets the oldest keys, where there are more than may be or they are too old.
local function forget(at, keys_max, key_age_max)
  local left = redis.call('LLEN', order)
  for _ = 1, math.min(left, FORGOTTEN_MAX) do
    local oldest = redis.call('LINDEX', order, 0)
    local ends = string.find(oldest, ' ', 1, true)
    local position, key = string.sub(oldest, 1, ends - 1), string.sub(oldest, ends + 1)
    local newest_position, _, _, used_at = use(redis.call('HGET', keys, key) or '')
    local is_newest_use = newest_position == position
    if is_newest_use and left <= keys_max and at - tonumber(used_at) < key_age_max then
      return
    end
    redis.call('LPOP', order)
    left = left - 1
    if is_newest_use then
      redis.call('HDEL', keys, key)
    end
  end
end

-- `number` is its position, `before` the check of the entry before it, `bytes` the total of those before it; `id` and `key` are ''
-- or have a '+' in front. Gives the total with it.
local function store(number, before, bytes, check, entry, id, key, fingerprint, at, keys_max, key_age_max)
  local position = written(number)
  bytes = bytes + #entry + ENTRY_BYTES
  -- The first write: if Redis takes none, for want of memory, of replicas or of its disk, nothing has happened.
  redis.call('XADD', log, position .. '-0', 'p', before, 't', written(at), 'b', written(bytes), 'e', entry)
  redis.call('HSET', meta, 'seq', position, 'check', check, 'at', written(at), 'bytes', written(bytes))
  if id ~= '' then
    redis.call('XADD', ids, position .. '-0', 'i', string.sub(id, 2))
  end
  if key ~= '' and keys_max > 0 then
    redis.call('HSET', keys, key, position .. ' ' .. check .. ' ' .. fingerprint .. ' ' .. written(at))
    redis.call('RPUSH', order, position .. ' ' .. key)
    forget(at, keys_max, key_age_max)
  end
  return bytes
end
