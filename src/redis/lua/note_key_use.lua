
-- Seen before, now.
local kept = redis.call('HMGET', KEYS[1], 's', 'wa')
if not kept[1] or kept[2] or below(ARGV[2], kept[1]) then return 0 end
redis.call('HSET', KEYS[1], 's', ARGV[3])
return 1
