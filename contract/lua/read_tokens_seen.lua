-- read_tokens_seen: which Poe tokens workers have.
--
-- ARGV: now
-- Returns {id, record, ...}.
clock(ARGV[1])
return redis.call('HGETALL', keys.tokens_seen)
