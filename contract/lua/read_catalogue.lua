-- read_catalogue: the models of the upstream, if they have changed.
--
-- ARGV: now, version that the caller has
-- Returns {version}, and where that is another one, the catalogue: {version, msgpack}; '' where there is none.
clock(ARGV[1])
local version = redis.call('GET', keys.catalogue_version) or ''
if version == ARGV[2] then return { version } end
return { version, redis.call('GET', keys.catalogue) or '' }
