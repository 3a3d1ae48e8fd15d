"""Divides a file into parts. Pure.

S3 accepts at most 10 000 parts of 5 MiB to 5 GiB (the last may be smaller), 5 TiB together. The first 1 000
parts have the configured size. Later parts grow steadily: ordinary files need little memory, and
10 000 parts still reach 5 TiB. Some other stores require all parts but the last to have the same size, and
refuse others only at the end, so for all stores but AWS the first 5 000 parts have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40

MAX_PARTS = 10_000
MAX_PART_BYTES = 5 * GIB
MAX_OBJECT_BYTES = 5 * TIB
STEADY_PARTS = 1_000
LONG_STEADY_PARTS = 5_000
PARALLEL_BYTES = 256 * MIB


@dataclass(frozen=True, slots=True)
class CopySource:
    """Bytes `[start, stop)` of one version of an object."""

    key: str
    version: str | None
    start: int
    stop: int
    whole: bool = False
    """Whether these are all bytes of the object."""
    bucket: str = ""
    """The bucket of the object, if it may be another one than that of the upload."""

    @property
    def size(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class UploadedPart:
    """A part of an upload that the store has stored."""

    number: int
    size: int
    etag: str
    checksum: dict[str, str]
    """The part's checksum as CompleteMultipartUpload repeats it besides the ETag."""
    crc: int | None
    confirmed: bool
    """Whether the store has reported the checksum of what it stored, and it equals that of the bytes sent."""
    source: CopySource | None = None
    """The bytes that the part was copied from, if it was."""


def part_size(number: int, part_bytes: int, steady_parts: int = LONG_STEADY_PARTS) -> int:
    """Bytes of part `number` (from 1), given the size of the first `steady_parts`."""
    if number <= steady_parts:
        return part_bytes
    growth = _growth(part_bytes, steady_parts)
    size = part_bytes + growth * (number - steady_parts)
    return min(_round_up(size), MAX_PART_BYTES)


def parallel_parts(size: int, wanted: int) -> int:
    """How many parts of this size to send at once: at least one, together at most 256 MiB."""
    return max(1, min(wanted, PARALLEL_BYTES // size))


def copy_ranges(start: int, stop: int, piece_bytes: int, min_bytes: int) -> Iterator[tuple[int, int]]:
    """Divide `[start, stop)` into ranges of one size, at most `piece_bytes`, of which the last may be
    smaller; evenly if the last would be too small. No range is below `min_bytes` if possible."""
    size = stop - start
    pieces = max(1, -(-size // piece_bytes))
    piece = -(-size // pieces)
    while piece > min_bytes and 0 < size % piece < min_bytes:
        piece -= 1  # only if pieces are hardly larger than the minimum
    if piece >= min_bytes and not 0 < size % piece < min_bytes:
        for first in range(start, stop, piece):
            yield first, min(first + piece, stop)
        return
    while pieces > 1 and size // pieces < min_bytes:
        pieces -= 1
    for index in range(pieces):
        yield start + size * index // pieces, start + size * (index + 1) // pieces


def copy_piece_bytes(size: int, wanted: int) -> int:
    """The size of a copied part that keeps `size` bytes within 10 000 parts."""
    return max(wanted, -(-size // MAX_PARTS))


def _growth(part_bytes: int, steady_parts: int) -> int:
    """Bytes by which each part is larger than the previous one: an arithmetic series up to 5 TiB."""
    growing = MAX_PARTS - steady_parts
    missing = MAX_OBJECT_BYTES - part_bytes * MAX_PARTS
    return max(0, -(-missing // (growing * (growing + 1) // 2)))


def _round_up(size: int) -> int:
    return -(-size // MIB) * MIB
