"""A look at a bucket before it is trusted: what works, what does not, and what to do about it.

Everything is tried for real, with objects under a random name below the prefix that are removed again. What
the store is seen to lack is noted in its table of features, as the server would, and told at the end.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress

from s3sftp.backends.findings import Finding
from s3sftp.backends.s3.checking_answers import refused
from s3sftp.backends.s3.checking_bucket import look_bucket, look_journal, look_lifecycle, look_versioning
from s3sftp.backends.s3.checking_checksums import look_checksums, look_kept, look_sizes
from s3sftp.backends.s3.checking_conditions import (
    look_conditional_copies,
    look_conditional_deletes,
    look_conditional_writes,
    look_copy,
    look_matched_copies,
)
from s3sftp.backends.s3.checking_listing import look_absence, look_pages
from s3sftp.backends.s3.checking_multipart import look_multipart
from s3sftp.backends.s3.checking_reads import look_delete, look_ranges, look_read, look_versions
from s3sftp.backends.s3.checking_trees import look_batch_deletes, look_tags
from s3sftp.backends.s3.checking_writes import look_write
from s3sftp.backends.s3.client import Store
from s3sftp.backends.s3.deleting import delete_object
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.journal_bucket import journal_prefix
from s3sftp.backends.s3.options import S3Options
from s3sftp.errors import StorageError

Look = Callable[[Store, str], Awaitable[Finding]]


async def check(options: S3Options) -> list[Finding]:
    """Look at the bucket; every finding, the worst included: this never raises because of the store."""
    store = Store(options)
    store.features.is_recognised = True  # what others of this name ignore is tried on this one
    await store.start()
    try:
        return [finding async for finding in _Check(store).findings()]
    finally:
        await store.stop()


class _Check:
    def __init__(self, store: Store) -> None:
        self._store = store
        prefix, name = store.options.prefix, f"check-{uuid.uuid4().hex}"
        self._probe = f"{prefix}.s3sftp-{name}"
        self._claim = f"{journal_prefix(prefix)}{name}"

    async def findings(self) -> AsyncIterator[Finding]:
        reached = await look_bucket(self._store)
        yield reached
        if reached.state == "failed":
            return
        try:
            for look in self._looks():
                yield await self._found(look)
        finally:
            await self._clean()
        if (lacking := self._store.features.missing) != ():
            yield _described(lacking)

    def _looks(self) -> list[Look]:
        return [
            look_write,
            look_read,
            look_ranges,
            look_versions,
            look_conditional_writes,
            look_copy,
            look_conditional_copies,
            look_matched_copies,
            look_conditional_deletes,
            look_multipart,
            lambda store, _: look_checksums(store),
            look_kept,
            lambda store, _: look_sizes(store),
            look_batch_deletes,
            look_tags,
            look_pages,
            look_absence,
            look_delete,
            lambda store, _: look_journal(store, self._claim),
            look_lifecycle,
            look_versioning,
        ]

    async def _found(self, look: Look) -> Finding:
        try:
            return await look(self._store, self._probe)
        except StorageError as error:  # of what a look did not expect to fail
            return refused("check", error)

    async def _clean(self) -> None:
        """Remove the objects of all looks, which begin with the probe's name."""
        keys = {self._probe, *(f"{self._probe}-{name}" for name in ("copy", "more", "other", "parts"))}
        if self._store.options.journal == "bucket":
            keys.add(self._claim)
        with suppress(StorageError):
            answer = await self._store.call("ListObjectsV2", Prefix=self._probe)
            keys |= {line["Key"] for line in answer.get("Contents", ())}
        for key in sorted(keys):
            with suppress(StorageError):
                await delete_object(self._store, key)


def _described(lacking: Iterable[Feature]) -> Finding:
    names = ", ".join(f'"{feature}"' for feature in lacking)
    return Finding(
        "store",
        "ok",
        f"s3.lacks = [{names}] describes it",
        "set that, and no request has to find out; the server works around each of them in any case",
    )
