
-- New secrets for a login, from these arguments on: generation, access, refresh or nothing, lineage, moment, ends.
local function rekeyed(id, subject, epoch, from)
  local login, now = at .. 'login:' .. id, ARGV[from + 4]
  redis.call('HSET', login, 'g', ARGV[from], 'a', ARGV[from + 1], 'l', ARGV[from + 3], 'ra', now, 'ca', now,
    's', later(redis.call('HGET', login, 's'), now), 'gh', '0', 'ae', ARGV[from + 5], 're', ARGV[from + 6], 'e', epoch)
  redis.call('HDEL', login, 'p', 'n')
  if ARGV[from + 2] == '' then
    redis.call('HDEL', login, 'r')
  else
    redis.call('HSET', login, 'r', ARGV[from + 2])
  end
  redis.call('ZREM', at .. 'nonces', id)
  keep(id, subject, now)
end
