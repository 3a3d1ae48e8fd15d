"""Processes that share a table of token buckets take what a user may have together."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from s3sftp.runtime.rate_buckets import ROWS
from s3sftp.runtime.shared_counters import create_shared_file

TAKER = """
import sys, time
from s3sftp.runtime.rate_buckets import RateBuckets
from s3sftp.runtime.shared_counters import SharedCounters
descriptor, column, rate, seconds = map(int, sys.argv[1:])
mine = RateBuckets(SharedCounters.shared(descriptor, 3, column)).bucket("alice")
print("ready", flush=True)
sys.stdin.readline()
deadline, taken = time.monotonic() + seconds, 0
while time.monotonic() < deadline:
    time.sleep(mine.take(1000, rate))
    taken += 1000
print(taken)
"""


def test_processes_share_a_bucket() -> None:
    rate, seconds, count = 100_000, 2, 2
    descriptor = create_shared_file(ROWS, 3)
    try:
        takers = [
            subprocess.Popen(
                [sys.executable, "-c", TAKER, *map(str, (descriptor, column, rate, seconds))],
                pass_fds=[descriptor],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for column in range(count)
        ]
        for taker in takers:
            assert taker.stdout is not None
            assert taker.stdout.readline() == "ready\n"
        began = time.monotonic()
        taken = [int(taker.communicate("go\n", timeout=60)[0]) for taker in takers]
        passed = time.monotonic() - began
        assert sum(taken) <= rate * (passed + 1) + 1000 * count
        assert min(taken) > 0
    finally:
        os.close(descriptor)
