"""In-memory files, by which processes hand each other what is too long for a message."""

from __future__ import annotations

import os
from collections.abc import Iterable


def memory_file(name: str, lines: Iterable[bytes]) -> int:
    """An in-memory file of these lines; the caller closes it."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as stream:
        stream.writelines(lines)
    return descriptor


def read_file(descriptor: int, most: int | None = None) -> bytes:
    """The content of an in-memory file. Does not move the file's position, which other readers share.

    Raises ValueError: if it is longer than `most` bytes.
    """
    size = os.fstat(descriptor).st_size
    if most is not None and size > most:
        raise ValueError(f"{size} bytes are more than {most}")
    return os.pread(descriptor, size, 0)
