-- Now. What is kept, as `put_once` writes it, and no longer; nothing where its end has come, which may come later for
-- somebody whose clock is behind.
local kept = redis.call('GET', KEYS[1])
if not kept then return false end
local ends = string.match(kept, '^-?%d+')
if ends and ends ~= '9223372036854775807' and tonumber(ends) <= tonumber(ARGV[1]) then return false end
redis.call('DEL', KEYS[1])
return kept
