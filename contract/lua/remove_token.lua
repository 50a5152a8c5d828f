-- remove_token: forget a Poe token that was added at run time. Calls that run with it go on.
--
-- ARGV: now, id
-- Returns 1, or 0 where there is none.
tokens_changed(clock(ARGV[1]))
redis.call('HDEL', keys.token(ARGV[2]), 'held')
return redis.call('HDEL', keys.poe_tokens, ARGV[2])
