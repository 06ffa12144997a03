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

server.register_function{
  function_name = 'axon_jobs_missing', callback = missing, flags = {'no-writes'}
}
