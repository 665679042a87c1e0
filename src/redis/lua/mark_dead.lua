
-- After, how many, moment, reason. How many there were, the last, and how many were marked: those without their
-- subject's epoch.
local ids = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], '+', 'LIMIT', 0, ARGV[3])
local marked = 0
for _, id in ipairs(ids) do
  local kept = redis.call('HMGET', at .. 'login:' .. id, 'k', 'wa', 'e')
  if kept[1] and not kept[2] and not is_current(kept[1], kept[3]) then
    mark(id, ARGV[4], ARGV[5])
    marked = marked + 1
  end
end
return { #ids, ids[#ids] or '', marked }
