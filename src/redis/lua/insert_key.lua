
-- Id, owner, and the columns.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'k', ARGV[3], unpack(ARGV, 4))
redis.call('ZADD', at .. 'keys', 0, ARGV[2])
redis.call('ZADD', at .. 'keys:' .. ARGV[3], 0, ARGV[2])
file(ARGV[2])
return 1
