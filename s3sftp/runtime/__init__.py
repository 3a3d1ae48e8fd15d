"""Helpers that every process of the server uses, whatever it serves.

`cancellation` and `shutdown` end work in order. `concurrency` bounds how much runs at once and makes callers
wait; `quota` bounds what is used up and refuses. `backoff` spaces attempts, `shared_counters` holds numbers
that processes share, `buffer_pool` reuses memory, and `task_dump` shows what a process waits for.
"""
