#!lua name=axon_conversations

-- The window of a conversation and the lease on it. Two keys, one cluster slot:
--
--   {conversation}:w  hash: e epoch, h sequence of the last record (-1: not filled), g its fence,
--                     n turns in the list, c 1 when they reach the beginning, o 1 while a turn
--                     runs, f fence of the last lease, l its holder ('' when given back),
--                     x its end in milliseconds of this server's clock
--   {conversation}:t  list of turns, oldest first
--
-- A window is believed only when it is closed (o = 0), of the caller's epoch, and as long as it
-- says (either key may be evicted alone). Every change carries the fence of its lease, so a
-- command that arrives late, after a newer lease was given, changes nothing.

local WINDOW_TTL_MS = 3600000  -- the brief's hour; longer than any lease
local PUSH_MAX = 1000          -- unpack() is bounded by Lua's stack

local SAME, HIT, MISS, BUSY, STALE = 0, 1, 2, 3, 4

local function now_ms()
  local time = server.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function keep(keys)
  server.call('PEXPIRE', keys[1], WINDOW_TTL_MS)
  server.call('PEXPIRE', keys[2], WINDOW_TTL_MS)
end

local function push(key, args, first)
  for i = first, #args, PUSH_MAX do
    server.call('RPUSH', key, unpack(args, i, math.min(i + PUSH_MAX - 1, #args)))
  end
end

-- begin(epoch, holder, fence, lease_ms, known): take the lease and open the window.
-- `known` is "head.fence" of the window the caller has opened already, or empty.
local function begin(keys, args)
  local epoch, holder, fence, known = args[1], args[2], args[3], args[5]
  local w = server.call('HMGET', keys[1], 'e', 'h', 'g', 'n', 'c', 'o', 'f', 'l', 'x')
  local now = now_ms()
  if w[7] then
    local left = tonumber(w[9]) - now
    if w[8] ~= '' and w[8] ~= holder and left > 0 then return {BUSY, left} end
    if tonumber(w[7]) >= tonumber(fence) then return {STALE, w[7]} end
  end
  local believed = w[1] == epoch and w[6] == '0'
    and server.call('LLEN', keys[2]) == tonumber(w[4])
  local until_ms = string.format('%.0f', now + tonumber(args[4]))
  if not believed then
    server.call('UNLINK', keys[2])
    server.call('HSET', keys[1], 'e', epoch, 'h', '-1', 'g', '0', 'n', '0', 'c', '0',
      'o', '1', 'f', fence, 'l', holder, 'x', until_ms)
    server.call('PEXPIRE', keys[1], WINDOW_TTL_MS)
    return {MISS}
  end
  server.call('HSET', keys[1], 'o', '1', 'f', fence, 'l', holder, 'x', until_ms)
  keep(keys)
  if known == w[2] .. '.' .. w[3] then return {SAME} end
  return {HIT, tonumber(w[2]), w[3], tonumber(w[5]), server.call('LRANGE', keys[2], 0, -1)}
end

-- fill(fence, head, head_fence, complete, turn...): what a miss found elsewhere; stays open.
local function fill(keys, args)
  if server.call('HGET', keys[1], 'f') ~= args[1] then return 0 end
  server.call('UNLINK', keys[2])
  push(keys[2], args, 5)
  server.call('HSET', keys[1], 'h', args[2], 'g', args[3], 'c', args[4], 'n', #args - 4)
  keep(keys)
  return 1
end

-- commit(epoch, fence, sequence, turn): add the turn (none when empty), close, give back.
-- A conversation's first turn needs no lease: it makes the window.
local function commit(keys, args)
  local epoch, fence, sequence, turn = args[1], args[2], args[3], args[4]
  local w = server.call('HMGET', keys[1], 'e', 'h', 'n', 'f')
  if w[4] and w[4] ~= fence then return 0 end
  if not w[4] then
    if sequence ~= '1' then return 0 end
    server.call('UNLINK', keys[2])
    server.call('HSET', keys[1], 'c', '1')
    w = {epoch, '0', '0', fence}
  end
  local follows = w[1] == epoch and tonumber(w[2]) + 1 == tonumber(sequence)
    and server.call('LLEN', keys[2]) == tonumber(w[3])
  if not follows then
    server.call('UNLINK', keys[1], keys[2])
    return 0
  end
  local turns = tonumber(w[3])
  if turn ~= '' then turns = server.call('RPUSH', keys[2], turn) end
  server.call('HSET', keys[1], 'e', epoch, 'h', sequence, 'g', fence, 'n', turns,
    'o', '0', 'f', fence, 'l', '', 'x', '0')
  keep(keys)
  return 1
end

-- abort(fence, keep): give the lease back; 'close' keeps the window as it was, 'drop' forgets it.
local function abort(keys, args)
  local w = server.call('HMGET', keys[1], 'f', 'h')
  if w[1] ~= args[1] then return 0 end
  if args[2] == 'close' and w[2] ~= '-1' then
    server.call('HSET', keys[1], 'o', '0', 'l', '', 'x', '0')
  else
    server.call('UNLINK', keys[1], keys[2])
  end
  return 1
end

-- renew(epoch, holder, fence, lease_ms): hold on to a lease, also when the server forgot it.
local function renew(keys, args)
  local epoch, holder, fence = args[1], args[2], args[3]
  local w = server.call('HMGET', keys[1], 'f', 'l')
  local until_ms = string.format('%.0f', now_ms() + tonumber(args[4]))
  if not w[1] then
    server.call('HSET', keys[1], 'e', epoch, 'h', '-1', 'g', '0', 'n', '0', 'c', '0',
      'o', '1', 'f', fence, 'l', holder, 'x', until_ms)
  elseif w[1] == fence and w[2] == holder then
    server.call('HSET', keys[1], 'x', until_ms)
  else
    return 0
  end
  keep(keys)
  return 1
end

-- disbelieve(): a record takes a place without a lease; the lease on the window, if any, stands.
local function disbelieve(keys)
  if server.call('EXISTS', keys[1]) == 0 then return 0 end
  server.call('HSET', keys[1], 'e', '')
  return 1
end

server.register_function('axon_begin', begin)
server.register_function('axon_fill', fill)
server.register_function('axon_commit', commit)
server.register_function('axon_abort', abort)
server.register_function('axon_renew', renew)
server.register_function('axon_disbelieve', disbelieve)
