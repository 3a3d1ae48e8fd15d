"""Make freed memory go back to the system."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path

_M_MMAP_THRESHOLD = -3  # mallopt(3)
_LARGE_BYTES = 1 << 20
_MADV_DONTNEED = 4  # madvise(2)


def return_large_blocks() -> None:
    """Have glibc map each block of a megabyte or more by itself, so that it is returned when it is freed.

    By default glibc raises that limit to 32 MiB as soon as such blocks come and go; chunks of uploads then
    leave holes between smaller blocks, and the process stays larger than what it holds. No effect elsewhere.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def return_what_is_done_with() -> None:
    """Give back what importing needed and serving may not. No effect without glibc on Linux.

    That is memory that was freed between blocks in use, and the code of libraries that has run once: code
    is never changed, so what runs again is mapped again from its file.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.malloc_trim(0)
        for line in Path("/proc/self/maps").read_text().splitlines():
            span, rights, *_, file = line.split(maxsplit=5)
            if rights == "r-xp" and file.startswith("/"):
                start, end = (int(number, 16) for number in span.split("-"))
                libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)
