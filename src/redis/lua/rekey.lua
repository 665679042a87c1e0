
-- Id, generation, and what is new.
local kept = redis.call('HMGET', KEYS[1], 'g', 'wa', 'k', 'e')
if kept[1] ~= ARGV[3] or kept[2] or not is_current(kept[3], kept[4]) then return 0 end
tell(ARGV[2])
rekeyed(ARGV[2], kept[3], kept[4], 4)
return 1
