-- Drops the oldest entries that are more than may be kept: all before the first that may.
-- Positions follow each other, and neither times nor totals ever fall, so it is found by halving.

local function written(number)
  return string.format('%.0f', number)
end

local function first_from(log, place)
  return redis.call('XRANGE', log, place, '+', 'COUNT', 1)[1]
end

-- `at` and `bytes` are the time and the total of the newest entry, `next` is the position behind it.
local function trim(log, ids, next, at, bytes, events_max, bytes_max, age_max)
  local oldest = first_from(log, '-')
  if not oldest then
    return
  end
  local first = tonumber(string.match(oldest[1], '^%d+'))

  local function is_kept(position)
    local entry = position < next and first_from(log, written(position) .. '-0')
    if not entry then
      return true
    end
    local total, taken = bytes, at
    for place = 1, #entry[2], 2 do
      if entry[2][place] == 'b' then
        total = tonumber(entry[2][place + 1])
      elseif entry[2][place] == 't' then
        taken = tonumber(entry[2][place + 1])
      end
    end
    return (bytes_max == 0 or bytes - total < bytes_max) and (age_max == 0 or at - taken < age_max)
  end

  local kept = first
  if events_max > 0 then
    kept = math.max(kept, next - events_max)
  end
  if not is_kept(kept) then
    local lost, after = kept, next
    while after - lost > 1 do
      local between = math.floor((lost + after) / 2)
      if is_kept(between) then
        after = between
      else
        lost = between
      end
    end
    kept = after
  end
  if kept > first then
    redis.call('XTRIM', log, 'MINID', written(kept) .. '-0')
    redis.call('XTRIM', ids, 'MINID', written(kept) .. '-0')
  end
end
