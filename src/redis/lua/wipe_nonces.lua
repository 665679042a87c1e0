
-- Before, how many to pass over, how many to look at. How many there were, how many of them stay, how many were wiped.
local before = ARGV[2]
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', score(before), 'LIMIT', ARGV[3], ARGV[4])
local stay, wiped = 0, 0
for _, id in ipairs(ids) do
  local kept = redis.call('HMGET', at .. 'login:' .. id, 'n', 'ra', 'ca')
  if kept[1] and not below(later(kept[2], kept[3]), before) then
    stay = stay + 1
  else
    wiped = wiped + redis.call('HDEL', at .. 'login:' .. id, 'n')
    redis.call('ZREM', KEYS[1], id)
  end
end
return { #ids, stay, wiped }
