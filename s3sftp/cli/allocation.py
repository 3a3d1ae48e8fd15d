"""Make freed memory go back to the system."""

from __future__ import annotations

import contextlib
import ctypes

_M_MMAP_THRESHOLD = -3  # mallopt(3)
_LARGE_BYTES = 1 << 20


def return_large_blocks() -> None:
    """Have glibc map each block of a megabyte or more by itself, so that it is returned when it is freed.

    By default glibc raises that limit to 32 MiB as soon as such blocks come and go; chunks of uploads then
    leave holes between smaller blocks, and the process stays larger than what it holds. No effect elsewhere.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def return_what_is_free() -> None:
    """Give back what has been freed between blocks that are in use: importing leaves some. Only with glibc."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
