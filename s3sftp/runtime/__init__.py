"""Helpers that every process of the server uses, whatever it serves.

`cancellation` and `shutdown` end work in order. `backoff` spaces attempts, `shared_counters` holds numbers
that processes share, `buffer_pool` reuses memory, and `task_dump` shows what a process waits
for.
"""
