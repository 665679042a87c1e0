-- Now, end, value, milliseconds to stay or nothing. What is kept is the end, a colon, and the value. An end that has
-- come is as if there were none; those of 64 bits that doubles cannot tell apart count as the same, on the side of what
-- lives.
local kept = redis.call('GET', KEYS[1])
if kept then
  local ends = string.match(kept, '^-?%d+')
  if ends == '9223372036854775807' or tonumber(ends) > tonumber(ARGV[1]) then return 0 end
end
if ARGV[4] == '0' then
  redis.call('DEL', KEYS[1])
elseif ARGV[4] == '' then
  redis.call('SET', KEYS[1], ARGV[2] .. ':' .. ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[2] .. ':' .. ARGV[3], 'PX', ARGV[4])
end
return 1
