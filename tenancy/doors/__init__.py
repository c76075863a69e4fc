"""What every door shares: reading input strictly, answering alike, counting requests.

No tables. Pages and APIs of all rooms stand on it: the JSON parser and
renderer, typed query parameters, paging, ETags, rate limits, routes in both
slash forms and the OpenAPI schema. The answers to errors live in
`config.errors`, because only the roof knows every kind of error.
"""
