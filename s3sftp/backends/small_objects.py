"""What the outbox of events needs of a storage: small objects, and listings page by page."""

from __future__ import annotations

import itertools
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from s3sftp.errors import AlreadyExists, Changed


@dataclass(frozen=True, slots=True)
class ListedEntry:
    """One object of a listing."""

    key: str
    etag: str
    size: int
    modified: float
    """When it was written, in seconds of the store's clock."""


@dataclass(frozen=True, slots=True)
class ListedPage:
    """A part of a listing."""

    entries: Sequence[ListedEntry]
    folders: Sequence[str] = ()
    """With a delimiter: the prefixes that it ends."""
    next: str | None = None
    """Continues the listing; None: it is complete."""
    now: float = 0.0
    """When it was made, in seconds of the store's clock."""


class SmallObjects(Protocol):
    """Small objects by their keys. Every call raises StorageError if the store fails."""

    is_durable: bool
    """Whether the objects outlive the process."""
    description: str
    """Where they are, for people."""

    async def put(self, key: str, data: bytes, *, etag: str | None = None, is_new: bool = False) -> str:
        """Write an object, and return its ETag. With `etag` only if the object still has that one; with
        `is_new` only if there is none.

        Raises Changed or AlreadyExists: if that does not hold.
        """

    async def read(self, key: str) -> bytes | None:
        """Return an object's content; None if there is no such object."""

    async def delete(self, key: str) -> None:
        """Remove an object. Succeeds if there is none."""

    async def page(
        self, prefix: str, *, after: str | None = None, most: int = 1000, delimiter: str = ""
    ) -> ListedPage:
        """Return a part of the listing below a prefix, in the order of the keys: the first one, or the one
        after that whose `next` is given."""


class VolatileObjects:
    """Objects in memory, for storages that are no buckets: events outlive a failing sink, not the process."""

    is_durable = False
    description = "the memory of this process"

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str, float]] = {}
        self._versions = itertools.count(1)

    async def put(self, key: str, data: bytes, *, etag: str | None = None, is_new: bool = False) -> str:
        present = self.objects.get(key)
        if is_new and present is not None:
            raise AlreadyExists
        if etag is not None and (present is None or present[1] != etag):
            raise Changed
        version = f'"{next(self._versions)}"'
        self.objects[key] = (data, version, time.time())
        return version

    async def read(self, key: str) -> bytes | None:
        found = self.objects.get(key)
        return None if found is None else found[0]

    async def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    async def page(
        self, prefix: str, *, after: str | None = None, most: int = 1000, delimiter: str = ""
    ) -> ListedPage:
        keys = sorted(key for key in self.objects if key.startswith(prefix))
        folders: list[str] = []
        if delimiter:
            inside = [key for key in keys if delimiter in key[len(prefix) :]]
            folders = sorted({prefix + key[len(prefix) :].split(delimiter)[0] + delimiter for key in inside})
            keys = [key for key in keys if key not in set(inside)]
        keys = keys[bisect_right(keys, after or "") :]
        entries = [
            ListedEntry(key, etag, len(data), written)
            for key in keys[:most]
            for data, etag, written in [self.objects[key]]
        ]
        rest = entries[-1].key if len(keys) > most else None
        return ListedPage(entries, folders, rest, time.time())
