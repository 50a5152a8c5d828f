-- read_use: how Poe tokens and their accounts stand, for people who look. It changes nothing.
--
-- ARGV: now, ms over which uses are counted, then id, account, batch and cooldown ms of each token
-- Returns for each {ms for which it is parked, state, reason, strikes, ms for which it is held (-1: until
-- it is let go), ms for which its account rests, ms until its cooldown ends, uses, calls in flight, points
-- or '', ms since they were looked at, worker or '', 1 if it was added at run time}.
local now, rows = clock(ARGV[1]), {}
local function left(at) return at and math.max(math.ceil(at - now), 0) or 0 end
for i = 3, #ARGV, 4 do
  local id, account, cooldown = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 3])
  local parked, state, reason, strikes, held, points, looked =
    unpack(redis.call('HMGET', keys.token(id), 'until', 'state', 'reason', 'strikes', 'held', 'points', 'points_at'))
  local owner, expires = unpack(redis.call('HMGET', keys.lease(ARGV[i + 2]), 'owner', 'expires'))
  local last = redis.call('ZRANGE', keys.uses(account), -1, -1, 'WITHSCORES')[2]
  rows[#rows + 1] = {
    left(parked), state or '', reason or '', tonumber(strikes) or 0,
    held == 'inf' and -1 or left(held), left(redis.call('HGET', keys.token(account), 'rests')),
    last and left(math.min(last, now) + cooldown) or 0,
    redis.call('ZCOUNT', keys.uses(account), '(' .. now - ARGV[2], '+inf'),
    redis.call('ZCOUNT', keys.grants(account), '(' .. now, '+inf'),
    points or '', looked and math.max(now - looked, 0) or 0,
    owner and tonumber(expires) > now and owner or '', redis.call('HEXISTS', keys.poe_tokens, id),
  }
end
return rows
