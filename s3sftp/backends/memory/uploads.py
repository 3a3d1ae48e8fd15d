"""Uploads in memory, with the checks of S3 and stricter ones.

A chunk of the wrong size, too many chunks at once or a call after the end is refused, so that a core that
breaks the contract fails its tests here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from s3sftp.backends.contract import Buffer, Place, Upload, WriteIntent
from s3sftp.errors import InvalidRequest


class MemoryUpload(Upload):
    """An upload's pieces in the order of the file; None for one that is still in progress."""

    def __init__(
        self,
        place: Place,
        intent: WriteIntent,
        *,
        chunk_bytes: int,
        min_chunk_bytes: int,
        keep_unit_bytes: int,
        parallel_chunks: int,
        growth_bytes: int,
    ) -> None:
        self.place = place
        self.intent = intent
        self.chunk_bytes = chunk_bytes
        self.min_chunk_bytes = min_chunk_bytes
        self.keep_unit_bytes = keep_unit_bytes
        self.parallel_chunks = parallel_chunks
        self.ended = False
        self._growth_bytes = growth_bytes
        self._pieces: list[bytes | None] = []
        self._running = 0

    @property
    def held_bytes(self) -> int:
        return sum(len(piece) for piece in self._pieces if piece is not None)

    @contextmanager
    def chunk(self, size: int) -> Iterator[int]:
        """Take the position of a chunk, which must have the right size."""
        if size != self.chunk_bytes:
            raise contract_violation(f"a chunk of {size} bytes where {self.chunk_bytes} were asked for")
        with self.position() as position:
            self.chunk_bytes += self._growth_bytes
            yield position

    @contextmanager
    def position(self) -> Iterator[int]:
        """Take the next position in the file, and one of the parallel calls."""
        self.must_run()
        if self._running >= self.parallel_chunks:
            raise contract_violation(f"more than {self.parallel_chunks} chunks at once")
        self._pieces.append(None)
        self._running += 1
        try:
            yield len(self._pieces) - 1
        finally:
            self._running -= 1

    def must_run(self) -> None:
        if self.ended:
            raise contract_violation("a call after the upload's end")

    def hold(self, position: int, data: Buffer) -> None:
        if not self.ended:  # otherwise aborted while this chunk was in progress
            self._pieces[position] = bytes(data)

    def whole(self, tail: Buffer, size: int) -> list[bytes]:
        """The pieces of the file.

        Raises InvalidRequest: if they are not what was announced.
        """
        self.must_run()
        pieces = [piece for piece in self._pieces if piece is not None]
        if self._running or len(pieces) != len(self._pieces):
            raise contract_violation("finish while a chunk is on its way or after one failed")
        if any(len(piece) < self.min_chunk_bytes for piece in (pieces if tail else pieces[:-1])):
            raise contract_violation(f"a chunk under {self.min_chunk_bytes} bytes before the last")
        whole = [*pieces, bytes(tail)]
        came = sum(map(len, whole))
        if came != size:
            raise contract_violation(f"{came} bytes came, {size} were announced")
        return whole

    def end(self) -> None:
        self.ended = True
        self._pieces.clear()


def contract_violation(what: str) -> InvalidRequest:
    """The error for a caller that broke the contract: a fault of the server, never of the client."""
    return InvalidRequest("invalid write", detail=what)
