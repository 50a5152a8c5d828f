-- add_key: make a key, under a name that no other key has.
--
-- Adding it again changes nothing, so whoever got no reply may repeat it.
--
-- ARGV: now, id, digest of its secret, name as JSON, then pairs: field, value
-- Returns 1, or 0 where another key has the name.
local now, id, digest = clock(ARGV[1]), ARGV[2], ARGV[3]
if redis.call('HSETNX', keys.key_names, ARGV[4], id) == 0 then
  return redis.call('HGET', keys.key_names, ARGV[4]) == id and 1 or 0
end
redis.call('SET', keys.keys_made, now, 'NX')
redis.call('ZADD', keys.key_ids, now, id)
redis.call('HSET', keys.stored_key(id), unpack(ARGV, 5))
redis.call('HSET', keys.key_secrets(id), digest, 0)
redis.call('SET', keys.key_digest(digest), id)
return 1
