"""Recognises a target directory that an earlier, interrupted attempt of the same rename has left.

It is one if all of this holds:

    each name in both      has the same bytes: equal ETags, or else the same write of ours (HEAD of both)
    at least one of them   is a file that is a copy by its origin, not only by its bytes; if there are only
                           markers, which are all alike, this process remembers that rename
    the other names        are only at the source (interrupted while copying)
                           or only at the target (interrupted while deleting), never on both sides

The rename then copies only what the target lacks, and writes nothing again that exists. So whatever else the
target holds, a resumed rename overwrites nothing, and removes nothing that is not at the target too. After a
restart, a rename that had only empty directories left to remove is refused; RMDIR removes them.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence

from s3sftp.backends.s3.client import Answer, S3Client
from s3sftp.backends.s3.metadata.equivalent_versions import former_versions
from s3sftp.backends.s3.metadata.objects import uploaded_at, version_of, write_id_of
from s3sftp.backends.s3.namespace.listing import ListedObject
from s3sftp.errors import AlreadyExists, NotFound
from s3sftp.runtime.concurrency import for_each

REMEMBERED_SECONDS = 600.0
REMEMBERED_ENTRIES = 1000


class InterruptedRenames:
    """Recognises what an interrupted rename has left."""

    def __init__(self, client: S3Client) -> None:
        self._client = client
        self._begun: OrderedDict[tuple[str, str], float] = OrderedDict()
        """Renames of trees that this process has begun, and when."""

    def begun(self, old: str, new: str) -> None:
        """Note that a rename begins, before anything is copied."""
        self._begun[old, new] = time.monotonic()
        self._begun.move_to_end((old, new))
        while len(self._begun) > REMEMBERED_ENTRIES:
            self._begun.popitem(last=False)

    def ended(self, old: str, new: str) -> None:
        """Note that a rename is complete."""
        self._begun.pop((old, new), None)

    def _is_remembered(self, old: str, new: str) -> bool:
        begun_at = self._begun.get((old, new))
        return begun_at is not None and time.monotonic() - begun_at < REMEMBERED_SECONDS

    async def missing(
        self, old: str, new: str, source: Sequence[ListedObject], target: Sequence[ListedObject]
    ) -> list[ListedObject]:
        """Return the entries of the source that are still to be copied.

        Raises AlreadyExists: if the target is not an interrupted rename of the source.
        """
        there = {line.key.removeprefix(new): line for line in target}
        missing = [line for line in source if line.key.removeprefix(old) not in there]
        both = [(line, there[name]) for line in source if (name := line.key.removeprefix(old)) in there]
        if not both or (missing and len(there) > len(both)):
            raise AlreadyExists
        file = next((pair for pair in both if not pair[0].is_marker), None)
        known = (
            self._is_remembered(old, new) if file is None else await self.is_copy(file[0].key, file[1].key)
        )
        if not known:
            raise AlreadyExists
        await for_each(
            [pair for pair in both if not _are_equal(*pair)],
            lambda pair: self._require_same_write(*pair),
            self._client.options.parallel_copies,
        )
        return missing

    async def is_copy(self, old: str, new: str) -> bool:
        """Whether the new object was copied from the old, by the id of the write that created both.

        Objects of other programs have no such id. A copy of one in parts lists the version it comes from;
        otherwise an object with the same ETag and size that is not older counts as a copy.
        """
        try:
            first, second = await self._lookup(old, new)
        except NotFound:
            return False
        ids = write_id_of(first), write_id_of(second)
        if ids != (None, None):
            return ids[0] == ids[1] or (ids[0] is None and version_of(first) in former_versions(second))
        lengths = first.get("ContentLength"), second.get("ContentLength")
        written = uploaded_at(first), uploaded_at(second)
        return (
            bool(version_of(first))
            and version_of(first) == version_of(second)
            and None not in lengths
            and lengths[0] == lengths[1]
            and written[0] is not None
            and written[1] is not None
            and written[1] >= written[0]
        )

    async def _require_same_write(self, old: ListedObject, new: ListedObject) -> None:
        """Raise AlreadyExists unless objects with different ETags come from one write. Copies of objects that
        were uploaded in parts, or are encrypted, have other ETags."""
        same = False
        if old.size == new.size:
            try:
                first, second = await self._lookup(old.key, new.key)
                same = write_id_of(first) is not None and write_id_of(first) == write_id_of(second)
            except NotFound:
                same = False
        if not same:
            raise AlreadyExists

    async def _lookup(self, old: str, new: str) -> tuple[Answer, Answer]:
        first, second = await asyncio.gather(
            self._client.call("HeadObject", Key=old), self._client.call("HeadObject", Key=new)
        )
        return first, second


def _are_equal(old: ListedObject, new: ListedObject) -> bool:
    """Whether the listings alone show that the bytes are equal."""
    if old.is_marker and new.is_marker:
        return True
    return old.size == new.size and bool(old.version) and old.version == new.version
