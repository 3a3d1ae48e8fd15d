"""Memory of which parts are handed out as views: when it may be written to again."""

from __future__ import annotations


def has_no_views(buffer: bytearray) -> bool:
    """Whether nobody has a view: as long as somebody has, a bytearray refuses to change its size."""
    try:
        buffer.append(0)
    except BufferError:
        return False
    buffer.pop()
    return True
