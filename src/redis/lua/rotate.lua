
-- Id, generation, the next, access, refresh, nonce, now, ends.
local login, id, now = KEYS[1], ARGV[2], ARGV[8]
local kept = redis.call('HMGET', login, 'g', 'wa', 'k', 'e', 'r', 's', 're')
if kept[1] ~= ARGV[3] or kept[2] or not is_current(kept[3], kept[4]) then return 0 end
tell(id)
redis.call('HSET', login, 'g', ARGV[4], 'a', ARGV[5], 'r', ARGV[6], 'n', ARGV[7], 'ra', now, 's', later(kept[6], now),
  'ca', NEVER, 'gh', '0', 'ae', ARGV[9], 're', later(kept[7], ARGV[10]))
if kept[5] then redis.call('HSET', login, 'p', kept[5]) else redis.call('HDEL', login, 'p') end
redis.call('ZREM', at .. 'nonces', id)
keep(id, kept[3], now)
return 1
