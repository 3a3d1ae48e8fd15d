"""An open file that is read.

Reader ── Fetch             one ranged request of the backend, whose bytes come piece by piece
  ├── ReadAhead (pure)      how many bytes should be under way
  └── Throughput (pure)     how fast the client takes them and the store sends them
"""
