-- change_key: set some of a key's fields, and leave the others as they are.
--
-- ARGV: now, id, name as JSON ('' = it keeps its name), then pairs: field, value ('' = delete it)
-- Returns 1; 0 where there is no such key, or -1 where another key has the name.
clock(ARGV[1])
local id, name = ARGV[2], ARGV[3]
local key = keys.stored_key(id)
local former = redis.call('HGET', key, 'name')
if not former then return 0 end
if name ~= '' and name ~= former then
  if redis.call('HSETNX', keys.key_names, name, id) == 0 then return -1 end
  redis.call('HDEL', keys.key_names, former)
end
set_fields(key, 4)
return 1
