"""A process of tests/telemetry/test_audit_file.py: appends numbered lines to a file that others write too."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from s3sftp.telemetry.audit_file import AuditFile

ROUND = 250
"""Lines that are written at once."""


def main() -> None:
    file, name, count, chars, limit = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    told: list[str] = []
    waiting_bytes = count * (chars + 100)  # all lines: others may hold the file's lock for long
    appender = AuditFile(file, lambda error: told.append(str(error)), lambda lost: None, waiting_bytes)
    appender.start()
    for number in range(count):
        if number % ROUND == 0 and not limit:
            sys.stdin.readline()  # until the test wants the next round
        appender.put(json.dumps({"name": name, "number": number, "text": "x" * chars}).encode() + b"\n")
    if limit:
        while not told:
            time.sleep(0.01)
        print(told[0], flush=True)
        sys.stdin.readline()  # until the test has looked at the file
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert appender.finish(30)


if __name__ == "__main__":
    main()
