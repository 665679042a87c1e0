-- The new era.
redis.call('PUBLISH', ARGV[1] .. 'changes', '*')
redis.call('SET', KEYS[1], ARGV[2])
return 1
