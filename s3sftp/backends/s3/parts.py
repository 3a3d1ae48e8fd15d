"""How a file is cut into parts. Pure.

S3 takes at most 10 000 parts of 5 MiB to 5 GiB (the last may be smaller), 5 TiB together. The first 1 000
parts have the configured size; after that they grow steadily, so that memory stays small for ordinary files
and 10 000 parts still reach 5 TiB.
"""

from __future__ import annotations

from collections.abc import Iterator

MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40

MAX_PARTS = 10_000
MAX_PART_BYTES = 5 * GIB
MAX_OBJECT_BYTES = 5 * TIB
STEADY_PARTS = 1_000
PARALLEL_BYTES = 256 * MIB


def part_size(number: int, part_bytes: int) -> int:
    """Bytes of part `number` (from 1), given the size of the first ones."""
    if number <= STEADY_PARTS:
        return part_bytes
    growth = _growth(part_bytes)
    size = part_bytes + growth * (number - STEADY_PARTS)
    return min(_round_up(size), MAX_PART_BYTES)


def parallel_parts(size: int, wanted: int) -> int:
    """How many parts of this size to have under way: at least one, together at most 256 MiB."""
    return max(1, min(wanted, PARALLEL_BYTES // size))


def copy_ranges(start: int, stop: int, piece_bytes: int, min_bytes: int) -> Iterator[tuple[int, int]]:
    """Cut `[start, stop)` evenly into ranges of at most `piece_bytes`, none below `min_bytes` if possible."""
    size = stop - start
    pieces = max(1, -(-size // piece_bytes))
    while pieces > 1 and size // pieces < min_bytes:
        pieces -= 1
    for index in range(pieces):
        yield start + size * index // pieces, start + size * (index + 1) // pieces


def copy_piece_bytes(size: int, wanted: int) -> int:
    """The size of a copied part that keeps `size` bytes within 10 000 parts."""
    return max(wanted, -(-size // MAX_PARTS))


def _growth(part_bytes: int) -> int:
    """Bytes by which each further part is larger than the one before: an arithmetic series to 5 TiB."""
    growing = MAX_PARTS - STEADY_PARTS
    missing = MAX_OBJECT_BYTES - part_bytes * MAX_PARTS
    return max(0, -(-missing // (growing * (growing + 1) // 2)))


def _round_up(size: int) -> int:
    return -(-size // MIB) * MIB
