
-- Before, how many to pass over, how many to look at, format. How many there were, how many of them stay, and what was
-- removed.
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', score(ARGV[2]), 'LIMIT', ARGV[3], ARGV[4])
local stay, removed = 0, {}
for _, id in ipairs(ids) do
  local key = at .. 'key:' .. id
  local kept = redis.call('HMGET', key, 'f', 'k')
  if kept[1] and (kept[1] ~= ARGV[5] or below(ARGV[2], end_of(key))) then
    stay = stay + 1
  else
    if kept[1] then
      removed[#removed + 1] = redis.call('HGETALL', key)
      redis.call('UNLINK', key)
      redis.call('ZREM', at .. 'keys:' .. kept[2], id)
    end
    redis.call('ZREM', at .. 'keys', id)
    redis.call('ZREM', KEYS[1], id)
  end
end
return { #ids, stay, removed }
