
-- Id, version, the next, data or nothing.
local kept = redis.call('HMGET', KEYS[1], 'v', 'wa')
if kept[1] ~= ARGV[3] or kept[2] then return 0 end
tell(ARGV[2])
redis.call('HSET', KEYS[1], 'v', ARGV[4])
if ARGV[5] then redis.call('HSET', KEYS[1], 'd', ARGV[5]) else redis.call('HDEL', KEYS[1], 'd') end
return 1
