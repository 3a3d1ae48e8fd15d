"""What all vices share: the storage in memory, and the promises that each says it breaks."""

from __future__ import annotations

from typing import Any

from s3sftp.backends import Place
from s3sftp.backends.memory import MemoryBackend

VICES: dict[type[FaultyBackend], tuple[str, ...]] = {}
"""For each vice the promises that must find it."""
HIDDEN: set[type[FaultyBackend]] = set()
"""Vices that no other promise finds."""


class FaultyBackend(MemoryBackend):
    """The storage in memory, with chunks so small that every border is crossed.

    A subclass says in `breaks` which promises it breaks; it must break each of them, and may break others
    unless it is `hidden` from those.
    """

    def __init__(self) -> None:
        super().__init__(chunk_bytes=7, min_chunk_bytes=3, parallel_chunks=3, page_entries=3, read_bytes=5000)

    def __init_subclass__(cls, *, breaks: tuple[str, ...] = (), hidden: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if breaks:
            VICES[cls] = breaks
        if hidden:
            HIDDEN.add(cls)

    def drop_below(self, place: Place) -> None:
        """Lose a directory and all that is in it."""
        for key in [key for key in self.objects if key.startswith(place.key + b"/")]:
            del self.objects[key]
