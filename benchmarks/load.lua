-- wrk's part of benchmarks/load.py: posts the lines of a file in turn, and prints what came of it as JSON.

local requests = {}
for body in io.lines(os.getenv("LOAD_BODIES")) do
  requests[#requests + 1] = wrk.format("POST", os.getenv("LOAD_PATH"), nil, body)
end

local sent = 0

function request()
  sent = sent + 1
  return requests[sent % #requests + 1]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "failed": %d, "duration": %d, "p50": %d, "p99": %d}\n',
    summary.requests, errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    summary.duration, latency:percentile(50), latency:percentile(99)
  ))
end
