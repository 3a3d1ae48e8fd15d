"""Hashes files inside the server, without sending their bytes to the client.

If the storage has the requested hash with the file, that is used. Otherwise the file is read as one stream,
at the version that was seen, and hashed in a thread. Hashing occupies a stream and a thread for a time that
grows with the file, so a session may hash one file at a time and the process a few, other requests wait their
turn, and each has a timeout.

`HashRequest` and `BlockDigests`, which are pure, compute what check-file asks for: the hash of a range, or of
each of its blocks (draft-ietf-secsh-filexfer-extensions-00 section 3).
"""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Protocol, cast

from s3sftp.backends import Buffer, CompleteBackend, FileInfo, ObjectAddress, Place, Session
from s3sftp.backends.router import backend_at
from s3sftp.errors import InvalidRequest, TimedOut
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.transfer_record import TransferRecord
from s3sftp.telemetry import Costs, charging

MIN_BLOCK_BYTES = 256
_AT_ONCE_BYTES = 1 << 20
"""The bytes hashed in one call. A stream holds as many, and the piece that has just arrived, in memory."""


class Hasher(Protocol):
    """The part of hashlib's interface that this module uses."""

    def update(self, data: bytes | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


class Crc32:
    """The CRC-32 of zip and Ethernet (ISO 3309), as four bytes in big-endian order."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def _of_hashlib(name: str) -> Callable[[], Hasher]:
    return partial(hashlib.new, name, usedforsecurity=False)


ALGORITHMS: dict[str, Callable[[], Hasher]] = {
    **{name: _of_hashlib(name) for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")},
    "crc32": Crc32,
}
"""The supported hash algorithms, by their names in the draft."""


@dataclass(frozen=True, slots=True)
class HashRequest:
    """A client's request for hashes: algorithm, range and block size. Offsets and sizes are in bytes."""

    algorithm: str
    start: int = 0
    length: int = 0
    """0 means to the end of the file."""
    block_bytes: int = 0
    """0 means one hash of the whole range."""

    def stop_in(self, size: int) -> int:
        """The end of the range in a file of `size` bytes.

        Raises InvalidRequest: if the range begins beyond the end of the file.
        """
        if self.start > size:
            raise InvalidRequest(f"the file ends at {size}, before the offset {self.start}")
        return min(size, self.start + self.length) if self.length else size

    def check_room(self, size: int, most_bytes: int) -> None:
        """Check that the hashes fit into an answer.

        Raises InvalidRequest: if blocks are smaller than `MIN_BLOCK_BYTES`, or if the hashes of a file of
        `size` bytes take more than `most_bytes`.
        """
        if self.block_bytes == 0:
            return
        if self.block_bytes < MIN_BLOCK_BYTES:
            raise InvalidRequest(f"the block size must be 0 or at least {MIN_BLOCK_BYTES}")
        most = most_bytes // len(ALGORITHMS[self.algorithm]().digest())
        bytes_hashed = self.stop_in(size) - self.start
        if -(-bytes_hashed // self.block_bytes) > most:
            raise InvalidRequest(
                f"an answer has room for {most} hashes: ask for a shorter range or larger blocks"
            )


class BlockDigests:
    """Hashes a stream of bytes, block by block."""

    def __init__(self, request: HashRequest) -> None:
        self._new = ALGORITHMS[request.algorithm]
        self._block_bytes = request.block_bytes
        self._done: list[bytes] = []
        self._digest = self._new()
        self._room = request.block_bytes

    def update(self, data: bytes | memoryview) -> None:
        if not self._block_bytes:
            self._digest.update(data)
            return
        view = memoryview(data)
        while view:
            piece, view = view[: self._room], view[self._room :]
            self._digest.update(piece)
            self._room -= len(piece)
            if not self._room:
                self._end_block()

    def result(self) -> bytes:
        """The concatenated hashes of all blocks, of which the last may be shorter."""
        if not self._block_bytes:
            return self._digest.digest()
        if self._room < self._block_bytes:
            self._end_block()
        return b"".join(self._done)

    def _end_block(self) -> None:
        self._done.append(self._digest.digest())
        self._digest, self._room = self._new(), self._block_bytes


class FileHasher:
    """Hashes files for all sessions of the process, at most `most_at_once` at the same time."""

    def __init__(self, backend: CompleteBackend, most_at_once: int, timeout: timedelta) -> None:
        self._backend = backend
        self._turns = asyncio.Semaphore(most_at_once)
        self._timeout = timeout

    def object_at(self, place: Place) -> ObjectAddress | None:
        """See `CompleteBackend.object_at`."""
        return backend_at(self._backend, place).object_at(place)

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
            transfer = TransferRecord(
                "hash", path, self._session, Costs(), located=lambda: self._hashing.object_at(place)
            )
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
