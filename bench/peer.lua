-- wrk: what is asked, read from the environment; each POST gets a document of its own.
-- RACE_KIND get|page|post, RACE_KEY, RACE_IDS (file with an id a line), RACE_FIRST (first document number)
local kind, key = os.getenv("RACE_KIND"), os.getenv("RACE_KEY")
local headers = {["X-Api-Key"] = key, ["Content-Type"] = "application/json"}
local ids, threads = {}, 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init()
  if kind == "get" then
    for line in io.lines(os.getenv("RACE_IDS")) do ids[#ids + 1] = line end
    math.randomseed(number + 1)
  end
  document = tonumber(os.getenv("RACE_FIRST")) + number * 1000000
end

function request()
  if kind == "get" then
    return wrk.format("GET", "/v1/patients/" .. ids[math.random(#ids)], headers)
  elseif kind == "page" then
    return wrk.format("GET", "/v1/patients?document_type_id=1&limit=20", headers)
  end
  document = document + 1
  local body = string.format('{"first_name":"Race","second_name":"","first_last_name":"Runner","second_last_name":"Two",'
    .. '"birth_date":"1990-05-17","gender_id":2,"document_type_id":1,"document_number":"%d","phone":"",'
    .. '"cell_phone":"3001234567","email":"race%d@example.com","habeas_data":false,"custom_fields":{}}', document, document)
  return wrk.format("POST", "/v1/patients", headers, body)
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RACE {\"requests\":%d,\"us\":%d,\"p50\":%.1f,\"p99\":%.1f,\"bad\":%d,\"broken\":%d}\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), e.status,
    e.connect + e.read + e.write + e.timeout))
end
