"""Processes beside the test's own: `python writer_process.py ROOT WAY hang|race NAME`.

hang    writes two chunks of two files, one of which is there already, says so, and waits to be killed
race    takes each of 40 names exclusively with its own number in it, and says which it won
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from s3sftp.backends import CompleteBackend, WriteIntent
from s3sftp.backends.contract import Finish
from s3sftp.errors import AlreadyExists
from tests.backends.local.containment_tree import ALICE, place, serving

NAMES = 40


async def _hang(backend: CompleteBackend) -> None:
    for path in ("new", "d/new", "old"):
        upload = await backend.begin_write(place(path), WriteIntent(), ALICE)
        for _ in range(2):
            await backend.write_chunk(upload, bytes(upload.chunk_bytes), ALICE)
    print("writing", flush=True)
    await asyncio.sleep(3600)


async def _race(backend: CompleteBackend, who: str) -> None:
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for number in range(NAMES):
        upload = await backend.begin_write(place(f"{number}"), WriteIntent(exclusive=True), ALICE)
        try:
            await backend.finish_write(upload, who.encode(), Finish(len(who)), ALICE)
            print(number, flush=True)
        except AlreadyExists:
            pass
        finally:
            await backend.abort_write(upload, ALICE)


async def main(root: str, way: str, what: str, who: str) -> None:
    async with serving(Path(root), way) as backend:
        await (_hang(backend) if what == "hang" else _race(backend, who))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
