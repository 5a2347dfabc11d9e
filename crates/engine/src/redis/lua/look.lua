-- Says what is there: all of meta, the first and the last id of the log or '', and the beginning of one entry or ''.
-- KEYS: meta, log. ARGV: the position of that entry, or ''; how many bytes of it.

local meta, log = KEYS[1], KEYS[2]
local first, last, beginning = '', '', ''
if redis.call('EXISTS', log) == 1 then
  local info = redis.call('XINFO', 'STREAM', log)
  for place = 1, #info, 2 do
    if info[place] == 'last-generated-id' then
      last = info[place + 1]
    elseif info[place] == 'first-entry' and info[place + 1] then
      first = info[place + 1][1]
    end
  end
  if ARGV[1] ~= '' then
    local place = ARGV[1] .. '-0'
    local entry = redis.call('XRANGE', log, place, place)[1]
    for at = 1, entry and #entry[2] or 0, 2 do
      if entry[2][at] == 'e' then
        beginning = string.sub(entry[2][at + 1], 1, tonumber(ARGV[2]))
      end
    end
  end
end
return { redis.call('HGETALL', meta), first, last, beginning }
