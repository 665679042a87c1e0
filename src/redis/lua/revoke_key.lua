
-- Id, moment, reason.
local kept = redis.call('HMGET', KEYS[1], 'k', 'wa')
if not kept[1] or kept[2] then return 0 end
redis.call('HSET', KEYS[1], 'wa', ARGV[3], 'wr', ARGV[4])
file(ARGV[2])
return 1
