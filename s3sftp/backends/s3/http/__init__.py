"""Speaks HTTP to the store.

fast_client                 creates the frequent requests, without botocore's parser
  ├── serializer, signing   turn parameters into a signed request
  └── response_body         passes the body to its reader, without a copy
aiohttp_session             sends these requests and botocore's over one session of aiohttp, with bounds
  ├── request_body          sends a body from memory
  └── connection ── receive_buffers
"""
