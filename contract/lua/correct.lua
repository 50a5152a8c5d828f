-- correct: note what Poe says a call has cost, once for each row of its history.
--
-- ARGV: now, Poe's id of the row, points to be added to what was settled, record for the ledger, then every counter
--       in which the request counts
-- Returns 1, or 0 where the row is known.
local LIFE = 45 * SPARE -- Poe's history has 30 days
local now, query = clock(ARGV[1]), ARGV[2]
if redis.call('ZADD', keys.corrected, 'NX', now, query) == 0 then return 0 end
redis.call('ZREMRANGEBYSCORE', keys.corrected, '-inf', now - LIFE)
redis.call('XADD', keys.ledger, '*', 'r', ARGV[4])
return 1
