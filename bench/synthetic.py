"""The S3 that has a million names and stores none, in a process of its own.

`python -m bench.synthetic NAMES` prints its port when it listens.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from testbed.processes import Process
from testbed.s3_store import Store
from testbed.synthetic_s3 import synthetic_s3


class Synthetic:
    """The running process."""

    def __init__(self, names: int, log: Path) -> None:
        self.names = names
        self._process = Process([sys.executable, "-m", "bench.synthetic", str(names)], log)

    def __enter__(self) -> Synthetic:
        self._process.wait_ready(lambda: self._process.output().endswith("\n"))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()

    @property
    def store(self) -> Store:
        port = int(self._process.output())
        return Store("synthetic", f"http://127.0.0.1:{port}", "key", "secret")


async def _serve(names: int) -> None:
    async with synthetic_s3(names, "") as store:
        print(store.endpoint_url.rpartition(":")[2], flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
