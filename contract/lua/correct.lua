-- correct: note what Poe says a call has cost, once for each row of its history.
--
-- ARGV: now, Poe's id of the row, points to be added to what was settled, record for the ledger, then every counter
--       in which the request counts
-- Returns 1, or 0 where the row is known.
local LIFE = 45 * SPARE -- Poe's history has 30 days
local now, query, points = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3])
if redis.call('ZADD', keys.corrected, 'NX', now, query) == 0 then return 0 end
redis.call('ZREMRANGEBYSCORE', keys.corrected, '-inf', now - LIFE)
redis.call('XADD', keys.ledger, '*', 'r', ARGV[4])
for i = 5, points == 0 and 0 or #ARGV do
  local key = keys.budget(ARGV[i])
  if redis.call('EXISTS', key) == 1 then
    redis.call('HINCRBY', key, 'spent', math.max(points, 0 - points_of(ARGV[i])))
    tell_budget(key, ARGV[i], now)
  end
end
return 1
