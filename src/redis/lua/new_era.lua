-- The new era, which begins as all of these data do, and is one that never was: who asks twice gets two.
local old = redis.call('GET', KEYS[1])
local origin, number = (old or ARGV[2]):match('^(.*)%.(%d+)$')
redis.call('PUBLISH', ARGV[1] .. 'changes', '*')
redis.call('SET', KEYS[1], string.format('%s.%.0f', origin, number + 1))
return 1
