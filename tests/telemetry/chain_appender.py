"""A process of tests/telemetry/test_audit_chain.py: appends chained lines to a file that others write too."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from s3sftp.telemetry.audit_chain_file import FileChain
from s3sftp.telemetry.audit_file import AuditFile


def main() -> None:
    file, name = Path(sys.argv[1]), sys.argv[2]
    key = sys.argv[3].encode() or None
    appender = AuditFile(
        file, lambda error: None, lambda lost: None, chain=FileChain(file, key, lambda place: None)
    )
    appender.start()
    number = 0
    for request in sys.stdin:  # how many lines the test wants; the answer: they are written
        for _ in range(int(request)):
            number += 1
            appender.put(json.dumps({"time": "2026", "name": name, "number": number}).encode() + b"\n")
        assert appender.finish(30)
        print(number, flush=True)


if __name__ == "__main__":
    main()
