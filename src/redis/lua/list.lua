-- One page of an index: after, how many. How many ids there were, the last, and what is there of them, as `find` has it.
local at = ARGV[1]
local ids = redis.call('ZRANGEBYLEX', KEYS[1], ARGV[2], '+', 'LIMIT', 0, ARGV[3])
local era = redis.call('GET', at .. 'era')
local found = {}
for _, id in ipairs(ids) do
  local login = redis.call('HGETALL', at .. 'login:' .. id)
  if #login > 0 then
    local epoch = redis.call('HMGET', at .. 'subject:' .. redis.call('HGET', at .. 'login:' .. id, 'k'), 'epoch', 'era')
    found[#found + 1] = { login, epoch[1], epoch[2], era }
  end
end
return { #ids, ids[#ids] or '', found }
