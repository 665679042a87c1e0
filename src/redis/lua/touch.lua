
-- Id, generation, seen before, now, ends or nothing, access or nothing, whether the nonce goes.
local login, id, now = KEYS[1], ARGV[2], ARGV[5]
local kept = redis.call('HMGET', login, 'g', 'wa', 's', 'ae', 're', 'k')
if kept[1] ~= ARGV[3] or kept[2] or below(ARGV[4], kept[3]) then return 0 end
local set, moved = { 's', now }, false
local function put(column, value) set[#set + 1], set[#set + 2] = column, value end
if ARGV[6] ~= '' and below(kept[4], ARGV[6]) then put('ae', ARGV[6]) moved = true end
if ARGV[7] ~= '' and below(kept[5], ARGV[7]) then put('re', ARGV[7]) moved = true end
if ARGV[8] ~= '' then put('a', ARGV[8]) end
redis.call('HSET', login, unpack(set))
if ARGV[9] == '1' then
  redis.call('HDEL', login, 'n')
  redis.call('ZREM', at .. 'nonces', id)
end
if moved then keep(id, kept[6], now) end
return 1
