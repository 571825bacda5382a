-- A node's sign of life. Times in milliseconds of Redis' clock.
-- KEYS: 1 sorted set of node ids by the moment they count as gone, 2 hash of what each node says of itself.
-- ARGV: 1 id of this node, 2 time until it counts as gone, 3 what it says of itself.
-- Returns: 1 whether it was known, 2 the time, 3 what the nodes say of themselves.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)
for _, id in ipairs(gone) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
end
local was_known = redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[2]) * 4)
redis.call('PEXPIRE', KEYS[2], tonumber(ARGV[2]) * 4)
return { was_known, now, redis.call('HVALS', KEYS[2]) }
