-- hold_token: set a Poe token aside by hand, or let it be used again.
--
-- This is apart from what workers learn of the token, so that no success and no balance undoes it. A token
-- that is let go is also held to be well again in every other respect.
--
-- ARGV: now, id, ms for which it is held (0 = until it is let go, -1 = let it go)
-- Returns 1.
local now, key, ms = clock(ARGV[1]), keys.token(ARGV[2]), tonumber(ARGV[3])
if ms < 0 then
  redis.call('HDEL', key, 'held', 'until', 'state', 'reason', 'strikes')
else
  redis.call('HSET', key, 'held', ms == 0 and 'inf' or now + ms)
end
tokens_changed(now)
return 1
