-- Now, interval, spare, in microseconds. The wait in milliseconds; zero if the event is allowed. All are below 2^53, and
-- so are their sums, or the event is refused.
local now, interval, spare = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local state = tonumber(redis.call('GET', KEYS[1]) or ARGV[1])
local ahead, from = state - now, nil
if ahead <= spare then
  from = math.max(state, now)
elseif ahead > spare + interval + 60000000 then
  from = now + spare
else
  return math.ceil((ahead - spare) / 1000)
end
local full = from + interval
if full > 9007199254740992 then return math.ceil(interval / 1000) end
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', string.format('%.0f', math.ceil((full - now) / 1000) + 60000))
return 0
