"""Hashes of a file's blocks, as check-file answers with them. Pure.

Source: draft-ietf-secsh-filexfer-extensions-00 section 3.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from s3sftp.errors import InvalidRequest

MIN_BLOCK_BYTES = 256


class Hasher(Protocol):
    """What hashlib's objects have, as far as it is needed here."""

    def update(self, data: bytes | memoryview, /) -> None: ...

    def digest(self) -> bytes: ...


class Crc32:
    """The CRC-32 of zip and Ethernet (ISO 3309): four bytes, the highest first."""

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
"""By the names of the draft."""


@dataclass(frozen=True, slots=True)
class HashRequest:
    """Which hashes of a file are wanted."""

    algorithm: str
    start: int = 0
    length: int = 0
    """0: to the end of the file."""
    block_bytes: int = 0
    """0: one hash of all of it."""

    def stop_in(self, size: int) -> int:
        """Where the bytes end that are hashed, in a file of `size` bytes. Raises InvalidRequest."""
        if self.start > size:
            raise InvalidRequest(f"the file ends at {size}, before the offset {self.start}")
        return min(size, self.start + self.length) if self.length else size

    def check_room(self, size: int, most_bytes: int) -> None:
        """Raise InvalidRequest when the hashes have no room in an answer with `most_bytes`."""
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
    """Hashes bytes as they come, block by block."""

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
        """The hashes of all blocks, joined; the last block may be shorter."""
        if not self._block_bytes:
            return self._digest.digest()
        if self._room < self._block_bytes:
            self._end_block()
        return b"".join(self._done)

    def _end_block(self) -> None:
        self._done.append(self._digest.digest())
        self._digest, self._room = self._new(), self._block_bytes
