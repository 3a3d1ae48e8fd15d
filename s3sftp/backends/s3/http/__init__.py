"""HTTP to the store.

fast_client                 the frequent requests, without botocore's parser
  ├── serializer, signing   a request in bytes
  ├── connection_pool ── connection ── http1
  └── response_body         bytes that arrive, received where their reader wants them
aiohttp_session             all other requests, sent by botocore over aiohttp with bounds
"""
