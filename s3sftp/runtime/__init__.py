"""Helpers that every process of the server uses, whatever it serves.

`cancellation` and `shutdown` end work in order. `concurrency` bounds how much runs at once, `backoff` spaces
attempts, `shared_counters` holds numbers that processes share, `buffers` detects when memory may be reused,
and `task_dump` shows what a process waits for.
"""
