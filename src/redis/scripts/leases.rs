//! The steps on shared tokens and their locks.

use std::sync::LazyLock;

use redis::Script;

/// `KEYS[1]` the record, `ARGV` what is expected (`*`, nothing, or a version), version, end, value, milliseconds.
pub(in crate::redis) static PUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if ARGV[1] ~= '*' and (redis.call('HGET', KEYS[1], 'version') or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'expires', ARGV[3], 'value', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1",
    )
});

/// `KEYS[1]` the record, `ARGV` what is expected.
pub(in crate::redis) static DELETE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if ARGV[1] ~= '*' and (redis.call('HGET', KEYS[1], 'version') or '') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1",
    )
});

/// `KEYS[1]` the lock, `ARGV` owner, milliseconds. The answer is the fence, or nothing.
///
/// What stays of a lock for a day after its end is the fence: so the next is higher, also if the server's clock
/// was set back. Without it, the clock in microseconds is.
pub(in crate::redis) static LOCK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = redis.call('HMGET', KEYS[1], 'owner', 'until', 'fence')
local held = last[1] and tonumber(last[2]) > now
if held and last[1] ~= ARGV[1] then return false end
local fence = last[3]
if not held then
  fence = string.format('%.0f', math.max((tonumber(fence) or 0) + 1, time[1] * 1000000 + time[2]))
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', string.format('%.0f', now + ARGV[2]), 'fence', fence)
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ARGV[2] + 86400000))
return fence",
    )
});

/// `KEYS[1]` the lock, `ARGV` owner, fence, milliseconds; without milliseconds the lock is released.
pub(in crate::redis) static RENEW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last = redis.call('HMGET', KEYS[1], 'owner', 'until', 'fence')
if last[1] ~= ARGV[1] or last[3] ~= ARGV[2] or tonumber(last[2]) <= now then return 0 end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], 'owner', 'until')
  redis.call('PEXPIRE', KEYS[1], 86400000)
else
  redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + ARGV[3]))
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ARGV[3] + 86400000))
end
return 1",
    )
});
