-- Generation, cap.
local kept = redis.call('HMGET', KEYS[1], 'g', 'wa', 'gh')
if kept[1] ~= ARGV[1] or kept[2] or tonumber(kept[3]) >= tonumber(ARGV[2]) then return 0 end
redis.call('HINCRBY', KEYS[1], 'gh', 1)
return 1
