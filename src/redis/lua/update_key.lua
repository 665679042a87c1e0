
-- Id, version, the next, end, context, whether there is a label, the label, whether there is a scope, the scope.
local kept = redis.call('HMGET', KEYS[1], 'v', 'wa')
if kept[1] ~= ARGV[3] or kept[2] then return 0 end
redis.call('HSET', KEYS[1], 'v', ARGV[4], 'x', ARGV[5], 'cx', ARGV[6])
if ARGV[7] == '1' then redis.call('HSET', KEYS[1], 'lb', ARGV[8]) else redis.call('HDEL', KEYS[1], 'lb') end
if ARGV[9] == '1' then redis.call('HSET', KEYS[1], 'sc', ARGV[10]) else redis.call('HDEL', KEYS[1], 'sc') end
file(ARGV[2])
return 1
