"""Detects whether views of a buffer still exist, that is, whether its memory may be reused."""

from __future__ import annotations


def has_no_views(buffer: bytearray) -> bool:
    """Whether no memoryview of the buffer exists: while one does, a bytearray refuses to change its size."""
    try:
        buffer.append(0)
    except BufferError:
        return False
    buffer.pop()
    return True
