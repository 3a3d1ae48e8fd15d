"""What every process of the server needs, whatever it serves.

`cancellation` and `shutdown` end work in order, `backoff` spaces attempts, `shared_counters` are numbers that
processes share, `buffers` knows when memory is free again, and `task_dump` shows what a process waits for.
"""
