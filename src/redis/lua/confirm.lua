
-- Id, generation, now.
local kept = redis.call('HMGET', KEYS[1], 'g', 'wa', 'ca', 'ra', 'n')
if kept[1] ~= ARGV[3] or kept[2] or kept[3] ~= NEVER then return 0 end
redis.call('HSET', KEYS[1], 'ca', ARGV[4])
if kept[5] then redis.call('ZADD', at .. 'nonces', score(later(kept[4], ARGV[4])), ARGV[2]) end
return 1
