-- clock: what time it is; and take a step of the server's clock out of it.
--
-- All times in Redis are those of its wall clock, and limits must not care when somebody sets it. So
-- every process compares it with its own monotonic clock (contract/clock.py), and whoever finds
-- that it was set takes the step out for all: `offset` is added to what the server says.
--
-- A process that slept, with its machine, sees the same as one whose Redis was set ahead. It is told
-- apart by the others: by `last` they have seen time pass there.
--
-- ARGV: now, ms by which the clock has been set (0: it has not), steps known when that was seen
-- Returns {ms, steps ever taken out, what became of the step: 'none', 'taken', 'known' (somebody else
-- has taken it out), 'passed' (there was none)}, and, where it was taken, its ms.
local key, step = keys.clock, tonumber(ARGV[2])
local now, last = wall()
local known = tonumber(redis.call('HGET', key, 'steps')) or 0
local earliest, latest = string.match(ARGV[1], '(%d+)-(%d+)')

local function take(ms)
  redis.call('HINCRBY', key, 'offset', -ms)
  redis.call('HSET', key, 'stepped', ms)
  return { now - ms, redis.call('HINCRBY', key, 'steps', 1), 'taken', ms }
end

if step ~= 0 then
  if known ~= tonumber(ARGV[3]) then return { now, known, 'known' } end
  if step > 0 and last > now - step + 100 then return { now, known, 'passed' } end
  return take(step)
end
if not earliest then
  -- Whoever has just begun knows nothing but that time does not go back.
  if now < last then return take(now - last) end
else
  local seen = math.min(math.max(now, tonumber(earliest)), tonumber(latest))
  if seen > last then redis.call('HSET', key, 'last', seen) end
end
return { now, known, 'none' }
