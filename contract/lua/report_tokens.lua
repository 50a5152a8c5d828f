-- report_tokens: a worker says which Poe tokens it has, for people who look at them.
--
-- ARGV: now, ms after which a token that nobody has is forgotten, then id and record of each token
-- Returns 1.
local now = clock(ARGV[1])
for i = 3, #ARGV, 2 do
  redis.call('HSET', keys.tokens_seen, ARGV[i], ARGV[i + 1])
  redis.call('ZADD', keys.tokens_seen_at, now, ARGV[i])
end
keep(keys.tokens_seen, ARGV[2] + SPARE)
keep(keys.tokens_seen_at, ARGV[2] + SPARE)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', keys.tokens_seen_at, '-inf', now - ARGV[2], 'LIMIT', 0, 100)) do
  redis.call('HDEL', keys.tokens_seen, id)
  redis.call('ZREM', keys.tokens_seen_at, id)
end
return 1
