-- clock: what time it is; and take a step of the server's clock out of it.
--
-- All times in Redis are those of its wall clock, and limits must hold when somebody sets that clock. So
-- every process compares it with its own monotonic clock (store/clock.py), and the first to find that
-- it was set corrects it for all: `offset` is added to what the server says.
--
-- To a process that slept, with its machine, Redis seems to have been set ahead. `last` shows that it was
-- not: other processes have seen time pass there.
--
-- ARGV: now, ms by which the clock was set (0: it was not), steps known when that was seen
-- Returns {ms, steps ever taken out, what became of the step: 'none', 'taken', 'known' (another process
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
