-- A login, its subject's epoch with its era, and the era of today.
local subject = redis.call('HGET', KEYS[1], 'k')
if not subject then return false end
local epoch = redis.call('HMGET', ARGV[1] .. 'subject:' .. subject, 'epoch', 'era')
return { redis.call('HGETALL', KEYS[1]), epoch[1], epoch[2], redis.call('GET', ARGV[1] .. 'era') }
