"""Makes the C library return freed memory to the system."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path

_M_MMAP_THRESHOLD = -3  # mallopt(3)
_LARGE_BYTES = 1 << 20
_MADV_DONTNEED = 4  # madvise(2)


def return_large_blocks() -> None:
    """Have glibc map each block of a megabyte or more separately, so that freeing it returns it to the
    system.

    By default glibc raises this threshold to 32 MiB as soon as such blocks are used. The chunks of uploads
    then leave holes between smaller blocks, and the process stays larger than what it holds. No effect with
    other C libraries.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def return_what_is_done_with() -> None:
    """Return memory that imports needed and serving may not. No effect without glibc on Linux.

    That is memory freed between blocks in use, and the code and constants of libraries that have been used
    once: they never change, so pages that are used again are mapped again from their file.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.malloc_trim(0)
        for start, end in _as_in_their_files():
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)


def _as_in_their_files() -> list[tuple[int, int]]:
    """The read-only mappings of files in which this process has no pages of its own.

    Addresses that the loader has filled in are such own pages, in mappings that are read-only by then.
    """
    found: list[tuple[int, int]] = []
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *words = line.split(maxsplit=5)
        if not first.endswith(":"):
            is_file = len(words) == 5 and words[4].startswith("/")
            if is_candidate := is_file and words[0] in ("r-xp", "r--p"):
                start, end = (int(number, 16) for number in first.split("-"))
                found.append((start, end))
        elif is_candidate and first in ("Anonymous:", "Swap:") and words[0] != "0":
            is_candidate = False
            found.pop()
    return found
