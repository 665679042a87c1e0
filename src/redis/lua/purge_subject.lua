
-- Subject, before, after, how many to look at, how many to remove, format. How many there were, the last, and what was
-- removed.
local subject, before, max = ARGV[2], ARGV[3], tonumber(ARGV[6])
local ids = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[4], '+', 'LIMIT', 0, ARGV[5])
local over, gone = {}, {}
for _, id in ipairs(ids) do
  local format = redis.call('HGET', at .. 'login:' .. id, 'f')
  if not format then
    gone[#gone + 1] = id
  elseif format == ARGV[7] and #over < max then
    local _, from = ends(at .. 'login:' .. id)
    if not below(before, from) then over[#over + 1] = id end
  end
end
if #over > 0 then tell(table.concat(over)) end
local removed = {}
for place, id in ipairs(over) do
  removed[place] = redis.call('HGETALL', at .. 'login:' .. id)
  remove(id, subject)
end
for _, id in ipairs(gone) do remove(id, subject) end
return { #ids, ids[#ids] or '', removed }
