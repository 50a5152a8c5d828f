-- make_room: discard the oldest kept answers, because Redis is full or nearly so.
--
-- ARGV: now, how many bytes to free
-- Returns how many were freed.
local MOST = 200
clock(ARGV[1])
local wanted, freed = tonumber(ARGV[2]), 0
for _, id in ipairs(redis.call('ZRANGE', keys.keeps, 0, MOST - 1)) do
  if freed >= wanted then break end
  freed = freed + discard(id, 'room')
end
return freed
