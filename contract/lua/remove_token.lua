-- remove_token: forget a Poe token that was added at run time. Calls that run with it go on.
--
-- Whether it is parked is not forgotten: the configuration may have it too.
--
-- ARGV: now, id
-- Returns 1, or 0 where there is none.
local now = clock(ARGV[1])
local removed = redis.call('HDEL', keys.poe_tokens, ARGV[2])
if removed == 1 then
  tokens_changed(now)
  -- Workers that have it all the same, by their configuration, say so again.
  redis.call('HDEL', keys.tokens_seen, ARGV[2])
  redis.call('ZREM', keys.tokens_seen_at, ARGV[2])
end
return removed
