
-- Id, label or nothing.
if not can_end(ARGV[2]) then return 0 end
tell(ARGV[2])
if ARGV[3] then redis.call('HSET', KEYS[1], 'lb', ARGV[3]) else redis.call('HDEL', KEYS[1], 'lb') end
return 1
