
-- Before, how many to pass over, how many to look at, format. How many there were, how many of them stay, and what was
-- removed. What the server has forgotten by itself leaves the indexes, too.
local before = ARGV[2]
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', score(before), 'LIMIT', ARGV[3], ARGV[4])
local gone, ids, stay = {}, {}, 0
for _, member in ipairs(members) do
  local id, subject = string.sub(member, 1, 17), string.sub(member, 18)
  local format, from = redis.call('HGET', at .. 'login:' .. id, 'f'), nil
  if format == ARGV[5] then _, from = ends(at .. 'login:' .. id) end
  if format and (not from or below(before, from)) then
    stay = stay + 1
  else
    gone[#gone + 1] = { id, subject, format }
    ids[#ids + 1] = id
  end
end
if #ids > 0 then tell(table.concat(ids)) end
local removed = {}
for _, login in ipairs(gone) do
  if login[3] then removed[#removed + 1] = redis.call('HGETALL', at .. 'login:' .. login[1]) end
  remove(login[1], login[2])
end
return { #members, stay, removed }
