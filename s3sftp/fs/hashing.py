"""Hashes files inside the server, without sending their bytes to the client.

If the storage has the requested hash with the file, that is used. Otherwise the file is read as one stream,
at the version that was seen, and hashed in a thread. Hashing occupies a stream and a thread for a time that
grows with the file, so a session may hash one file at a time and the process a few, other requests wait their
turn, and each has a timeout.
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
"""The bytes hashed in one call. A stream holds as many, and the piece that has just arrived, in memory."""


class FileHasher:
    """Hashes files for all sessions of the process, at most `most_at_once` at the same time."""

    def __init__(self, backend: CompleteBackend, most_at_once: int, timeout: timedelta) -> None:
        self._backend = backend
        self._turns = asyncio.Semaphore(most_at_once)
        self._timeout = timeout

    async def hashes(self, place: Place, info: FileInfo, wanted: HashRequest, session: Session) -> bytes:
        """The hashes of a file at the version of `info`.

        Raises InvalidRequest: if the range begins beyond the end of the file; TimedOut: after `timeout`; and
        what reading raises: NotFound, Changed, …
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
    """Hashes files for one session, one at a time, and logs each as a transfer."""

    def __init__(self, hashing: FileHasher, session: Session) -> None:
        self._hashing = hashing
        self._session = session
        self._turn = asyncio.Lock()

    async def hashes(
        self, path: VirtualPath, place: Place, info: FileInfo, wanted: HashRequest, most_bytes: int
    ) -> bytes:
        """Like `FileHasher.hashes`.

        Raises InvalidRequest: also if the hashes would take more than `most_bytes`.
        """
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
    """Split pieces so that none exceeds `_AT_ONCE_BYTES`. Each is valid until the next is requested."""
    async for piece in pieces:
        view = memoryview(piece)
        for start in range(0, len(view), _AT_ONCE_BYTES):
            yield view[start : start + _AT_ONCE_BYTES]
