-- One step of the generic cell rate algorithm, as `decide` in `../rate.rs`. Times in microseconds of Redis' clock.
-- KEYS: 1 the allowance. ARGV: 1 time in which one unit is refilled, 2 units of the burst, 3 units wanted.
-- Returns: 1 whether they were given, 2 debt afterwards, 3 debt that was wanted.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local interval, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local allowance = interval * burst
local full_at = tonumber(redis.call('GET', KEYS[1]) or '0')
local debt = math.min(math.max(full_at - now, 0), allowance)
local wanted = debt + interval * cost
local given = 0
if wanted <= allowance then
  given = 1
  debt = wanted
  redis.call('SET', KEYS[1], string.format('%.0f', now + debt), 'PX', math.max(math.ceil(debt / 1000), 1))
end
return { given, debt, wanted }
