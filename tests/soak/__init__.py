"""Many sessions for a long time; afterwards descriptors, memory, tasks and uploads are what they were.

A short soak belongs to the tests; `python -m tests.soak --sessions 50 --minutes 10` is the real one.
"""
