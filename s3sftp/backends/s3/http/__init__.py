"""Speaks HTTP to the store.

fast_client                 sends the frequent requests, without botocore's parser
  ├── serializer, signing   turn a request into bytes
  ├── connection_pool ── connection ── http1
  └── response_body         receives the body into its reader's memory
aiohttp_session             sends all other requests, for botocore over aiohttp, with bounds
"""
