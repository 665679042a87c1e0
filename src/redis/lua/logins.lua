-- What the steps on logins share. ARGV[1] is what every key begins with.
--
-- login:<id>          hash  a login
-- subject:<subject>   hash  the epoch of a subject, and the era in which it was last raised
-- logins:<subject>    zset  the logins of a subject, by id
-- logins              zset  all logins, by id
-- ends                zset  login and subject, by when the login may be purged
-- nonces              zset  logins with a nonce whose pair was used, by when that is settled
-- era                 string changes when everybody's logins end
local at = ARGV[1]
local NEVER = '9223372036854775807'
-- For how long a login stays that nobody purges.
local MARGIN = 2592000000

-- Whether one number of 64 bits is below another. They are text: numbers here are doubles, of which two that differ
-- may be the same beyond 2^53, but never the wrong way round.
local function below(a, b)
  local x, y = tonumber(a), tonumber(b)
  if x ~= y then return x < y end
  if a == b then return false end
  if #a ~= #b then return (#a < #b) == (x > 0) end
  return (a < b) == (x > 0)
end

local function later(a, b) if below(a, b) then return b end return a end

local function sooner(a, b) if below(b, a) then return b end return a end

-- A score. Nothing that ends is as late as what does not.
local function score(moment) if moment == NEVER then return '+inf' end return moment end

local function tell(ids) redis.call('PUBLISH', at .. 'changes', ids) end

-- The end of a login's last token, and from when on the login may be purged.
local function ends(login)
  local kept = redis.call('HMGET', login, 'ae', 're', 'xe', 'r', 'wa')
  local last = sooner(kept[1], kept[3])
  if kept[4] then last = later(last, sooner(kept[2], kept[3])) end
  if kept[5] then return last, sooner(last, kept[5]) end
  return last, last
end

-- Files a login under its end.
local function file(id, subject)
  local last, from = ends(at .. 'login:' .. id)
  redis.call('ZADD', at .. 'ends', score(from), id .. subject)
  return last
end

-- The same where an end may have moved, and lets the server forget what nobody purges.
local function keep(id, subject, now)
  local login, last = at .. 'login:' .. id, file(id, subject)
  local left = tonumber(last) - tonumber(now)
  if left > 2 ^ 52 then
    redis.call('PERSIST', login)
  else
    redis.call('PEXPIRE', login, string.format('%.0f', math.max(left, 0) + MARGIN))
  end
end

-- The epoch of a subject, and whether it is of this era: if not, it counts as one higher, and no login has it.
local function epoch_of(subject)
  local kept = redis.call('HMGET', at .. 'subject:' .. subject, 'epoch', 'era')
  local era = redis.call('GET', at .. 'era')
  return kept[1], kept[1] and era and kept[2] == era
end

local function is_current(subject, epoch)
  local now, current = epoch_of(subject)
  return current and now == epoch
end

-- In the numbers of 64 bits that the server itself has.
local function raise(subject)
  local key = at .. 'subject:' .. subject
  if redis.call('HGET', key, 'epoch') == NEVER then
    redis.call('HSET', key, 'epoch', '-9223372036854775808')
  else
    redis.call('HINCRBY', key, 'epoch', 1)
  end
end

-- Brings a subject into this era, where there is one. Nothing is different for any login.
local function settle(subject)
  local epoch, current = epoch_of(subject)
  local era = redis.call('GET', at .. 'era')
  if epoch and era and not current then
    raise(subject)
    redis.call('HSET', at .. 'subject:' .. subject, 'era', era)
  end
end

-- Whether it is there and not revoked.
local function can_end(id)
  local kept = redis.call('HMGET', at .. 'login:' .. id, 'k', 'wa')
  return kept[1] and not kept[2]
end

local function mark(id, moment, reason)
  local login = at .. 'login:' .. id
  redis.call('HSET', login, 'wa', moment, 'wr', reason)
  file(id, redis.call('HGET', login, 'k'))
end

-- A subject without logins needs no epoch: the next login starts a random one.
local function remove(id, subject)
  redis.call('UNLINK', at .. 'login:' .. id)
  redis.call('ZREM', at .. 'logins', id)
  redis.call('ZREM', at .. 'nonces', id)
  redis.call('ZREM', at .. 'ends', id .. subject)
  redis.call('ZREM', at .. 'logins:' .. subject, id)
  if redis.call('EXISTS', at .. 'logins:' .. subject) == 0 then
    redis.call('UNLINK', at .. 'subject:' .. subject)
  end
end
