#!lua name=axon_jobs

-- axon_jobs_missing(stream, id...) returns those of the ids that are no longer in the stream:
-- taken by a worker, or forgotten. Asking with XRANGE would bring every job's whole body.

local function missing(keys, args)
  local found = {}
  for _, id in ipairs(args) do
    if #server.call('XRANGE', keys[1], id, id) == 0 then
      found[#found + 1] = id
    end
  end
  return found
end

-- axon_jobs_read(turns, row..., group, worker, count) reads up to so many entries for a worker, by
-- turns: rows that wait at the same time in proportion to their weights, as rows.py does it within a
-- process. What it needs to know lies in the hash `turns`, for all workers of the lane.
-- Returns {number of the row, entry} for each.

local SCALE, WEIGHT_OF_ALL = 1048576, 100

local function read_row(key, args, count)
  local reply = server.call(
    'XREADGROUP', 'GROUP', args[1], args[2], 'COUNT', count, 'STREAMS', key, '>')
  return reply and reply[1] and reply[1][2] or {}
end

local function weight(entry)
  local fields = entry[2]
  for i = 1, #fields, 2 do
    if fields[i] == 'w' then return math.max(1, tonumber(fields[i + 1]) or 1) end
  end
  return WEIGHT_OF_ALL
end

local function starts_of(keys)
  local known = server.call('HMGET', keys[1], 'scale', unpack(keys, 2))
  local scale, starts = tonumber(known[1] or '0'), {}
  for i = 2, #keys do
    starts[i] = tonumber(known[i] or '0')
  end
  return scale, starts
end

local function keep(keys, scale, starts)
  local fields = {'scale', string.format('%.0f', scale)}
  for i = 2, #keys do
    fields[#fields + 1] = keys[i]
    fields[#fields + 1] = string.format('%.0f', starts[i])
  end
  server.call('HSET', keys[1], unpack(fields))
end

local function read(keys, args)
  local count, waiting, found = tonumber(args[3]), {}, {}
  for i = 2, #keys do
    if server.call('XLEN', keys[i]) > 0 then waiting[#waiting + 1] = i end
  end
  if #waiting == 1 then
    for _, entry in ipairs(read_row(keys[waiting[1]], args, count)) do
      found[#found + 1] = {waiting[1] - 2, entry}
    end
  end
  if #waiting <= 1 then return found end
  local scale, starts = starts_of(keys)
  local is_waiting = {}
  for _, i in ipairs(waiting) do is_waiting[i] = true end
  for i = 2, #keys do  -- who did not wait begins at what the scale shows
    if not is_waiting[i] then starts[i] = math.max(starts[i], scale) end
  end
  while #found < count and #waiting > 0 do
    local first = #waiting
    for place = #waiting - 1, 1, -1 do
      if starts[waiting[place]] < starts[waiting[first]] then first = place end
    end
    local i = waiting[first]
    local entry = read_row(keys[i], args, 1)[1]
    if entry then
      found[#found + 1] = {i - 2, entry}
      scale = starts[i]
      starts[i] = scale + math.floor(SCALE / weight(entry))
    else  -- all that is there another worker has read
      table.remove(waiting, first)
    end
  end
  keep(keys, scale, starts)
  return found
end

server.register_function{
  function_name = 'axon_jobs_missing', callback = missing, flags = {'no-writes'}
}

server.register_function('axon_jobs_read', read)
