#!lua name=axon_limits

-- What was used of an organization's limits, and what is held back. All keys have one cluster slot:
--
--   {org}:i            hash: of each process p  e:p its epoch, l:p the end of its lease in
--                      milliseconds of this server's clock
--   {org}:<counter>    hash: of each process p  u:p what its ended turns used, h:p what its running
--                      turns hold back, s:p its slice for when it is without Valkey, e:p the epoch
--                      in which it said so; and w: until when nobody is given slices, for they
--                      are wanted
--
-- Every process sets its own part and counts on from there; nobody adds to what another said. A
-- part of another epoch than the process's last, or of one whose lease has ended, holds nothing
-- back. A command that arrives after its sender has begun a new epoch changes nothing.

local WANTED_MS = 5000  -- some renewals long: then slices are given again

local ADMITTED, REFUSED, UNKNOWN, SLICED = 0, 1, 2, 3

local function now_ms()
  local time = server.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function integer(number)
  return string.format('%.0f', number)
end

local function living(key)
  local now, found, all = now_ms(), {}, server.call('HGETALL', key)
  local epochs = {}
  for i = 1, #all, 2 do
    local name = string.sub(all[i], 3)
    if string.sub(all[i], 1, 2) == 'e:' then epochs[name] = all[i + 1]
    elseif tonumber(all[i + 1]) > now then found[name] = true end
  end
  for name in pairs(found) do found[name] = epochs[name] end
  return found
end

-- Returns what is used and held back by all, the slices of all, each part, and what is only used.
local function look(key, epochs, me)
  local part, settled, held, slices = {}, 0, 0, 0
  local all = server.call('HGETALL', key)
  for i = 1, #all, 2 do part[all[i]] = all[i + 1] end
  for field, value in pairs(part) do
    local kind, name = string.sub(field, 1, 2), string.sub(field, 3)
    if kind == 'u:' then
      settled = settled + tonumber(value)
    elseif epochs[name] and part['e:' .. name] == epochs[name] then
      if kind == 's:' then slices = slices + tonumber(value)
      elseif kind == 'h:' then held = held + tonumber(value) end
    end
  end
  return settled + held, slices, part, settled
end

local function extend(key, me, lease_ms)
  server.call('HSET', key, 'l:' .. me, integer(now_ms() + tonumber(lease_ms)))
  server.call('PEXPIRE', key, 2 * tonumber(lease_ms))
end

-- admit(process, epoch, lease_ms, [ceiling, amount, durable, expires_ms] for each counter): hold
-- back from all counters, or from none. A durable counter must have been set in this epoch. Returns
-- what came of it, then what is used and held back of each, then what is only used of each.
local function admit(keys, args)
  local me, epoch = args[1], args[2]
  if server.call('HGET', keys[1], 'e:' .. me) ~= epoch then return {UNKNOWN} end
  extend(keys[1], me, args[3])
  local epochs, answer, fresh = living(keys[1]), {ADMITTED}, {}
  for i = 2, #keys do
    local at = 4 + (i - 2) * 4
    local ceiling, amount = tonumber(args[at]), tonumber(args[at + 1])
    local used, slices, part, settled = look(keys[i], epochs, me)
    if part['e:' .. me] ~= epoch then
      if args[at + 2] == '1' then return {UNKNOWN} end
      fresh[i] = true
    end
    if used + amount > ceiling then answer[1] = REFUSED
    elseif used + slices + amount > ceiling then
      server.call('HSET', keys[i], 'w:', integer(now_ms() + WANTED_MS))
      if answer[1] == ADMITTED then answer[1] = SLICED end
    end
    answer[i], answer[#keys - 1 + i] = integer(used), integer(settled)
  end
  if answer[1] ~= ADMITTED then return answer end
  for i = 2, #keys do
    local at = 4 + (i - 2) * 4
    if fresh[i] then server.call('HSET', keys[i], 'e:' .. me, epoch, 'h:' .. me, '0') end
    if args[at + 1] ~= '0' then server.call('HINCRBY', keys[i], 'h:' .. me, args[at + 1]) end
    server.call('PEXPIREAT', keys[i], args[at + 3])
  end
  return answer
end

-- settle(process, epoch, [change of held, used, expires_ms] for each counter)
local function settle(keys, args)
  local me, epoch = args[1], args[2]
  if server.call('HGET', keys[1], 'e:' .. me) ~= epoch then return 0 end
  for i = 2, #keys do
    local at = 3 + (i - 2) * 3
    if server.call('HGET', keys[i], 'e:' .. me) ~= epoch then return 0 end
    server.call('HINCRBY', keys[i], 'h:' .. me, args[at])
    server.call('HINCRBY', keys[i], 'u:' .. me, args[at + 1])
    server.call('PEXPIREAT', keys[i], args[at + 2])
  end
  return 1
end

-- set(process, epoch, lease_ms, [used, held, expires_ms, others, [other, its used]...] for each
-- counter): say what the own part is, and what is known of others who do not speak for themselves.
-- Returns 0 when nobody had spoken here before, as after a loss of everything.
local function set(keys, args)
  local me, epoch = args[1], args[2]
  local known = server.call('EXISTS', keys[1])
  server.call('HSET', keys[1], 'e:' .. me, epoch)
  extend(keys[1], me, args[3])
  local epochs, at = living(keys[1]), 4
  for i = 2, #keys do
    server.call('HSET', keys[i], 'e:' .. me, epoch, 'u:' .. me, args[at], 'h:' .. me, args[at + 1],
      's:' .. me, '0')
    server.call('PEXPIREAT', keys[i], args[at + 2])
    local others = tonumber(args[at + 3])
    at = at + 4
    for _ = 1, others do
      local command = epochs[args[at]] and 'HSETNX' or 'HSET'
      server.call(command, keys[i], 'u:' .. args[at], args[at + 1])
      at = at + 2
    end
  end
  return known
end

-- renew(process, epoch, lease_ms, [ceiling, slice] for each counter): live on, and have slices for
-- when Valkey is away, of what nobody has used or held back. Returns the slices that are given.
local function renew(keys, args)
  local me, epoch = args[1], args[2]
  if server.call('HGET', keys[1], 'e:' .. me) ~= epoch then return {UNKNOWN} end
  extend(keys[1], me, args[3])
  local epochs, answer = living(keys[1]), {ADMITTED}
  for i = 2, #keys do
    local at = 4 + (i - 2) * 2
    local used, slices, part = look(keys[i], epochs, me)
    if part['e:' .. me] ~= epoch then return {UNKNOWN} end  -- this key alone was evicted
    local others = slices - tonumber(part['s:' .. me] or '0')
    local given = math.max(0, math.min(tonumber(args[at + 1]), tonumber(args[at]) - used - others))
    if tonumber(part['w:'] or '0') > now_ms() then given = 0 end
    server.call('HSET', keys[i], 's:' .. me, integer(given))
    answer[2 * i - 2], answer[2 * i - 1] = integer(given), integer(used)
  end
  return answer
end

server.register_function('axon_limits_admit', admit)
server.register_function('axon_limits_settle', settle)
server.register_function('axon_limits_set', set)
server.register_function('axon_limits_renew', renew)
