-- release: a call has ended, or was never made. Record what that says of its token.
--
-- ARGV: now, token, account, grant, 1 if the call was never sent, ms for which the account rests,
--       ms for which the token is parked (0 = as it is, -1 = well again), state and reason to note,
--       strikes, model that the token may not use (or ''), ms for which that is remembered
-- Returns 1.
local now, key, account, grant = clock(ARGV[1]), keys.token(ARGV[2]), ARGV[3], ARGV[4]
local rest, park = tonumber(ARGV[6]), tonumber(ARGV[7])
end_call(ARGV[2], account, grant)
for _, each in ipairs(both(account, account_of(ARGV[2]))) do
  if ARGV[5] == '1' then redis.call('ZREM', keys.uses(each), grant) end
  if rest > 0 then
    local rests = tonumber(redis.call('HGET', keys.token(each), 'rests')) or 0
    redis.call('HSET', keys.token(each), 'rests', math.max(rests, now + rest))
  end
end
if park > 0 then
  redis.call('HSET', key, 'until', now + park, 'state', ARGV[8], 'reason', ARGV[9])
elseif park < 0 then
  redis.call('HDEL', key, 'until', 'state', 'reason', 'strikes')
end
if tonumber(ARGV[10] or 0) > 0 then redis.call('HSET', key, 'strikes', ARGV[10]) end
if (ARGV[11] or '') ~= '' then
  local unfit = keys.unfit(ARGV[2])
  redis.call('ZADD', unfit, now + tonumber(ARGV[12]), ARGV[11])
  keep(unfit, tonumber(ARGV[12]))
end
return 1
