"""Hashes a file's content block by block, for check-file. Pure.

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
