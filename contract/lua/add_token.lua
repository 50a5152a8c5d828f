-- add_token: add a Poe token, which is encrypted, or replace the one of the same id.
--
-- ARGV: now, id, record
-- Returns 1 if it is new, else 0.
tokens_changed(clock(ARGV[1]))
return redis.call('HSET', keys.poe_tokens, ARGV[2], ARGV[3])
