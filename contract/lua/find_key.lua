-- find_key: whose secret has this digest?
--
-- A gateway asks before it accepts a request, so this is one look-up by the digest and none over all
-- keys. A secret that was replaced is found until its grace has ended. Whether any key was ever made
-- tells a gateway without access tokens of its own that it is not open to everyone.
--
-- ARGV: now, digest ('' = of none)
-- Returns {1 if a key was ever made}, and where the secret is a key's: its id, its fields.
local now, made = clock(ARGV[1]), redis.call('EXISTS', keys.keys_made)
local id = ARGV[2] ~= '' and redis.call('GET', keys.key_digest(ARGV[2]))
local ends = id and tonumber(redis.call('HGET', keys.key_secrets(id), ARGV[2]))
if not ends or (ends > 0 and ends <= now) then return { made } end
return { made, id, redis.call('HGETALL', keys.stored_key(id)) }
