-- The new era, which begins as all of these data do.
local old = redis.call('GET', KEYS[1])
redis.call('PUBLISH', ARGV[1] .. 'changes', '*')
redis.call('SET', KEYS[1], (old or ARGV[2]):match('^[^.]*') .. ARGV[2]:match('%..*$'))
return 1
