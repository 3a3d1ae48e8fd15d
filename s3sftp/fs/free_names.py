"""Finds another name for a file whose name is taken: `report.csv` becomes `report (2).csv`.

Finding one asks the storage some 2·log₂(n) times if n names are taken, so a name that is sent every day for
years stays cheap. Somebody may take the found name in the meantime: the caller stores exclusively, and asks
for the next one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

_ARCHIVES = (b".tar",)
"""Endings that belong to the one that follows: `a.tar.gz`."""
_MOST = 1 << 20

IsTaken = Callable[[bytes], Awaitable[bool]]


def numbered(name: bytes, number: int) -> bytes:
    """The name with a number from 2 up, before its ending. 1 is the name itself."""
    if number == 1:
        return name
    stem, ending = _split(name)
    return b"%s (%d)%s" % (stem, number, ending)


async def free_number(name: bytes, is_taken: IsTaken) -> int:
    """The number of a name that is free: the first one, unless there are gaps.

    Raises ValueError: if a million are taken.
    """
    taken, step = 0, 1
    while await is_taken(numbered(name, taken + step)):
        taken += step
        step *= 2
        if taken > _MOST:
            raise ValueError("too many files have that name")
    free = taken + step
    while free - taken > 1:
        middle = (taken + free) // 2
        if await is_taken(numbered(name, middle)):
            taken = middle
        else:
            free = middle
    return free


def _split(name: bytes) -> tuple[bytes, bytes]:
    stem, dot, ending = name.rpartition(b".")
    if not stem.strip(b"."):  # no dot, or only in front: `.profile`
        return name, b""
    for archive in _ARCHIVES:
        inner = stem[: -len(archive)]
        if stem.lower().endswith(archive) and inner.strip(b"."):
            return inner, stem[len(inner) :] + dot + ending
    return stem, dot + ending
