-- One page of an index: after, how many. How many ids there were, the last, and what is there of them.
local ids = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], '+', 'LIMIT', 0, ARGV[3])
local found = {}
for _, id in ipairs(ids) do
  local key = redis.call('HGETALL', ARGV[1] .. 'key:' .. id)
  if #key > 0 then found[#found + 1] = key end
end
return { #ids, ids[#ids] or '', found }
