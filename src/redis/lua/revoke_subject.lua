
-- Subject, moment, reason, what is kept, its generation and what is new. Without a generation it stays as it is.
local subject, kept, generation = ARGV[2], ARGV[5], ARGV[6]
if not redis.call('HGET', KEYS[1], 'epoch') then
  if generation then return false end
  return {}
end
if generation then
  local login = redis.call('HMGET', at .. 'login:' .. kept, 'g', 'wa', 'k', 'e')
  if login[1] ~= generation or login[2] or login[3] ~= subject or not is_current(subject, login[4]) then
    return false
  end
end
local ended = {}
for _, id in ipairs(redis.call('ZRANGE', at .. 'logins:' .. subject, 0, -1)) do
  if id ~= kept and can_end(id) then ended[#ended + 1] = id end
end
local changed = table.concat(ended)
if generation then changed = changed .. kept end
if changed ~= '' then tell(changed) end
if kept == '' or generation then raise(subject) end
if generation then rekeyed(kept, subject, redis.call('HGET', KEYS[1], 'epoch'), 7) end
for _, id in ipairs(ended) do mark(id, ARGV[3], ARGV[4]) end
return ended
