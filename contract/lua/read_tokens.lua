-- read_tokens: the Poe tokens that were added at run time, if they have changed.
--
-- ARGV: now, version that the caller has
-- Returns {version}, and where that is another one, the tokens: {version, {id, record, ...}}.
clock(ARGV[1])
local version = redis.call('GET', keys.poe_tokens_version) or '0'
if version == ARGV[2] then return { version } end
return { version, redis.call('HGETALL', keys.poe_tokens) }
