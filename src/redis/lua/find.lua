-- The era of today, and a login, its subject's epoch and the era of that, where there is such a login.
local era = redis.call('GET', ARGV[1] .. 'era')
local subject = redis.call('HGET', KEYS[1], 'k')
if not subject then return { era } end
local epoch = redis.call('HMGET', ARGV[1] .. 'subject:' .. subject, 'epoch', 'era')
return { era, redis.call('HGETALL', KEYS[1]), epoch[1], epoch[2] }
