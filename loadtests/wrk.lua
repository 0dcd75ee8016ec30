-- Replays the requests of a file in their order, over and over. With a second file, of tills and their keys, each
-- approval is captured by the next request that goes out.

local requests, keys, captures = {}, {}, {}
local position, first_capture, next_capture = 0, 1, 1

local function capture_of(status, headers, body)
  local id = body:match('^{"id":"(auth_%w+)","decision":"approved"')
  if not id then return end
  local key = keys[body:match('"terminal_id":"(trm_%w+)"')]
  captures[next_capture] = "POST /v1/authorizations/" .. id .. "/captures HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    .. "Authorization: Bearer " .. key .. "\r\nIdempotency-Key: " .. id .. "\r\n"
    .. "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
  next_capture = next_capture + 1
end

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  while true do
    local length = file:read(8)
    if not length then break end
    requests[#requests + 1] = file:read(tonumber(length))
  end
  file:close()
  if arguments[2] then
    for line in io.lines(arguments[2]) do
      local till, key = line:match("^(%S+) (%S+)$")
      keys[till] = key
    end
    response = capture_of
  end
end

function request()
  if first_capture < next_capture then
    local capture = captures[first_capture]
    captures[first_capture] = nil
    first_capture = first_capture + 1
    return capture
  end
  position = position % #requests + 1
  return requests[position]
end

function done(summary, latency)
  local failed = summary.errors
  io.write(string.format(
    '\nshot {"requests":%d,"seconds":%.6f,"p50_us":%d,"p99_us":%d,"p999_us":%d,"errors":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
    failed.status + failed.connect + failed.read + failed.write + failed.timeout))
end
