"""Reads open files: ranged requests to the storage, with read-ahead for sequential readers.

Reader ── Fetch             one ranged request to the backend, whose bytes arrive in pieces
  ├── ReadAhead (pure)      decides how far ahead to fetch
  └── Throughput (pure)     measures how fast the client reads and the store sends
"""
