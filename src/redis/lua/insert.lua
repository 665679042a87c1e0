
-- Id, subject, first epoch, era if there is none, now, purge before, what a limit does, the limit, what is replaced,
-- and the columns, of which the first is the format.
local id, subject, now, before = ARGV[2], ARGV[3], ARGV[6], ARGV[7]
local refuses, max, replaces, format = ARGV[8], tonumber(ARGV[9]), ARGV[10], ARGV[12]
local login = KEYS[1]
if redis.call('EXISTS', login) == 1 then return 'taken' end

local epoch, current = epoch_of(subject)
local live, over, ended = {}, {}, {}
if refuses ~= '' then
  for place, other in ipairs(redis.call('ZRANGE', at .. 'logins:' .. subject, 0, -1)) do
    local key = at .. 'login:' .. other
    local kept = redis.call('HMGET', key, 'e', 'wa', 'c', 'f')
    if kept[1] then
      local _, from = ends(key)
      if not kept[2] and current and kept[1] == epoch and below(now, from) then
        if other ~= replaces then live[#live + 1] = { kept[3], place, other } end
      elseif kept[4] == format and not below(before, from) then
        over[#over + 1] = other
      end
    end
  end
  local surplus = #live + 1 - max
  if surplus > 0 then
    if refuses == 'yes' then return 'limit' end
    table.sort(live, function(a, b)
      if a[1] ~= b[1] then return below(a[1], b[1]) end
      return a[2] < b[2]
    end)
    for place = 1, math.min(surplus, #live) do ended[place] = live[place][3] end
  end
end
local replaced = replaces ~= '' and can_end(replaces)

local changed = table.concat(ended) .. table.concat(over)
if replaced then changed = changed .. replaces end
if changed ~= '' then tell(changed) end
redis.call('SET', at .. 'era', ARGV[5], 'NX')
if epoch then
  settle(subject)
else
  redis.call('HSET', at .. 'subject:' .. subject, 'epoch', ARGV[4], 'era', redis.call('GET', at .. 'era'))
end
epoch = redis.call('HGET', at .. 'subject:' .. subject, 'epoch')
for _, other in ipairs(ended) do mark(other, now, 'superseded') end
if replaced then mark(replaces, now, 'superseded') end
redis.call('HSET', login, 'k', subject, 'e', epoch, unpack(ARGV, 11))
redis.call('ZADD', at .. 'logins', 0, id)
redis.call('ZADD', at .. 'logins:' .. subject, 0, id)
keep(id, subject, now)
local kept = redis.call('HMGET', login, 'n', 'ra', 'ca')
if kept[1] and kept[3] ~= NEVER then redis.call('ZADD', at .. 'nonces', later(kept[2], kept[3]), id) end
local purged = {}
for place, other in ipairs(over) do
  purged[place] = redis.call('HGETALL', at .. 'login:' .. other)
  remove(other, subject)
end
return { epoch, replaced and 1 or 0, ended, purged }
