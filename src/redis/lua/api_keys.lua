-- What the steps on API keys share. ARGV[1] is what every key of the server begins with.
--
-- key:<id>        hash  an API key
-- keys:<owner>    zset  the API keys of an owner, by id
-- keys            zset  all API keys, by id
-- key-ends        zset  all API keys, by when they may be purged
local at = ARGV[1]
local NEVER = '9223372036854775807'

-- Whether one number of 64 bits is below another: see `logins.lua`.
local function below(a, b)
  local x, y = tonumber(a), tonumber(b)
  if x ~= y then return x < y end
  if a == b then return false end
  if #a ~= #b then return (#a < #b) == (x > 0) end
  return (a < b) == (x > 0)
end

local function score(moment) if moment == NEVER then return '+inf' end return moment end

-- From when on an API key may be purged.
local function end_of(key)
  local kept = redis.call('HMGET', key, 'x', 'wa')
  if kept[2] and below(kept[2], kept[1]) then return kept[2] end
  return kept[1]
end

local function file(id)
  redis.call('ZADD', at .. 'key-ends', score(end_of(at .. 'key:' .. id)), id)
end
