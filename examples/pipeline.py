"""Uploads become a small pipeline: a CSV is parsed, moved to processed/ or rejected/, and someone is told.

    python examples/pipeline.py [PORT]
    sftp -P 2022 alice@127.0.0.1              (the password is secret)
    sftp> put orders.csv inbox/

Events come at least once. So what can be repeated is done first, and the move last: an event that comes again
after it finds no file any more, and there is nothing left to do.
"""

import asyncio
import contextlib
import csv
import io
import sys
from collections.abc import Awaitable, Callable

import s3sftp
from s3sftp.backends import Backend, Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import NotFound

UNFINISHED = (b".partial", b".filepart")
"""rclone and WinSCP upload under such a name, and rename when the file is whole."""

Notify = Callable[[str], Awaitable[None]]


class Pipeline:
    """What becomes of files in `inbox/`."""

    def __init__(self, backend: Backend, notify: Notify) -> None:
        self._backend = backend
        self._notify = notify

    async def committed(self, file: s3sftp.Committed) -> None:
        await self._take_in(file.place, file.session)

    async def renamed(self, move: s3sftp.Renamed) -> None:
        await self._take_in(move.target_place, move.session)

    async def _take_in(self, place: Place, session: Session) -> None:
        if place.parent.name != b"inbox" or place.name.endswith(UNFINISHED):
            return
        try:
            data = await self._backend.read_file(place, session)
        except NotFound:
            return
        try:
            total = await asyncio.to_thread(total_of, bytes(data))
        except ValueError as error:
            await self._notify(f"{shown(place)} is rejected: {error}")
            await self._move(place, b"rejected", session)
        else:
            await self._notify(f"{shown(place)} is processed: {total} pieces ordered")
            await self._move(place, b"processed", session)

    async def _move(self, place: Place, directory: bytes, session: Session) -> None:
        target = place.parent.parent.child(directory).child(place.name)
        await self._backend.rename(place, target, session, overwrite=True)


def total_of(data: bytes) -> int:
    """The pieces in a file of orders. Raises ValueError."""
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8"))))
    if not rows or "pieces" not in rows[0]:
        raise ValueError("there is no column 'pieces'")
    return sum(int(row["pieces"]) for row in rows)


def shown(place: Place) -> str:
    return place.name.decode("utf-8", "backslashreplace")


def server_of(backend: Backend, notify: Notify, port: int) -> s3sftp.Server:
    """The server in front of the pipeline."""
    pipeline = Pipeline(backend, notify)
    return s3sftp.Server(
        backend=backend,
        auth=s3sftp.StaticUsers({"alice": "secret"}),
        port=port,
        on_committed=s3sftp.Subscriber(pipeline.committed, name="uploads", concurrency=4),
        on_renamed=s3sftp.Subscriber(pipeline.renamed, name="renames", concurrency=4),
    )


async def main(port: int) -> None:
    async def tell(text: str) -> None:
        print(text, flush=True)

    async with server_of(MemoryBackend(), tell, port) as server:
        print(f"listening on {server.port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2022))
