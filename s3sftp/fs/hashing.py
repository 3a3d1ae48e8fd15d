"""Hashing files inside the server: not a byte of them goes to the client.

What the storage has stored with the file is used where it is the hash that is wanted; otherwise the file is
read as one stream, at the version that was seen, and hashed in a thread. A request takes a stream and a
thread for as long as its file is large: so one session has one at a time and the process a few, the others
wait their turn, and each has a time limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any, cast

from s3sftp.backends import Buffer, CompleteBackend, FileInfo, Place, Session
from s3sftp.errors import TimedOut
from s3sftp.fs.block_digests import BlockDigests, HashRequest
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.transfer_record import TransferRecord
from s3sftp.telemetry import Costs, charging

_AT_ONCE_BYTES = 1 << 20
"""So much is hashed in one go. A stream holds that and what has just come, and no more of the file."""


class FileHasher:
    """Hashes files for all sessions of the process."""

    def __init__(self, backend: CompleteBackend, most_at_once: int, timeout: timedelta) -> None:
        self._backend = backend
        self._turns = asyncio.Semaphore(most_at_once)
        self._timeout = timeout

    async def hashes(self, place: Place, info: FileInfo, wanted: HashRequest, session: Session) -> bytes:
        """The hashes of a file at the version that `info` saw.

        Raises InvalidRequest, TimedOut, and what reading raises: NotFound, Changed, …
        """
        stop = wanted.stop_in(info.size)
        async with self._turns:
            try:
                async with asyncio.timeout(self._timeout.total_seconds()) as limit:
                    if (wanted.start, stop, wanted.block_bytes) == (0, info.size, 0):
                        stored = await self._backend.stored_digest(place, info, wanted.algorithm, session)
                        if stored is not None:
                            return stored
                    return await self._read(place, info, wanted, stop, session)
            except TimeoutError:
                if not limit.expired():
                    raise
                raise TimedOut(f"hashing the file took longer than {self._timeout}") from None

    async def _read(
        self, place: Place, info: FileInfo, wanted: HashRequest, stop: int, session: Session
    ) -> bytes:
        digests, held = BlockDigests(wanted), bytearray()
        if wanted.start < stop:
            pieces = self._backend.read_file_range(place, wanted.start, stop, info.version, session)
            async with aclosing(cast(Any, pieces)) as closing:
                async for piece in _cut(closing):
                    held += piece
                    if len(held) >= _AT_ONCE_BYTES:
                        full, held = held, bytearray()
                        await asyncio.to_thread(digests.update, memoryview(full))
        digests.update(memoryview(held))
        return digests.result()


class SessionHasher:
    """Hashes files for one session, one at a time; each leaves the line of a transfer in the log."""

    def __init__(self, hashing: FileHasher, session: Session) -> None:
        self._hashing = hashing
        self._session = session
        self._turn = asyncio.Lock()

    async def hashes(
        self, path: VirtualPath, place: Place, info: FileInfo, wanted: HashRequest, most_bytes: int
    ) -> bytes:
        """`FileHasher.hashes`, at most so many bytes of them."""
        wanted.check_room(info.size, most_bytes)
        async with self._turn:
            transfer = TransferRecord("hash", path, self._session, Costs())
            try:
                with charging(transfer.costs):
                    found = await self._hashing.hashes(place, info, wanted, self._session)
            except Exception as error:
                transfer.end("failed", size=info.size, error=error)
                raise
            except BaseException:
                transfer.end("aborted", size=info.size)
                raise
            transfer.bytes = wanted.stop_in(info.size) - wanted.start
            transfer.end("read", size=info.size)
            return found


async def _cut(pieces: AsyncIterator[Buffer]) -> AsyncIterator[memoryview]:
    """The same bytes in pieces that are not large; each is good until the next one is asked for."""
    async for piece in pieces:
        view = memoryview(piece)
        for start in range(0, len(view), _AT_ONCE_BYTES):
            yield view[start : start + _AT_ONCE_BYTES]
