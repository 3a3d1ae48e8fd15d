"""Probes a bucket before the server relies on it: reports what works, what does not, and what to do about it.

Every probe sends real requests, with objects under a random name below the prefix that are removed again.
Features that the store turns out to lack are recorded in its table of features, as the server would, and
reported at the end.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress

from s3sftp.backends.findings import Finding
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.options import S3Options
from s3sftp.backends.s3.preflight.bucket import probe_bucket, probe_journal, probe_lifecycle, probe_versioning
from s3sftp.backends.s3.preflight.checksums import probe_checksums, probe_kept, probe_sizes
from s3sftp.backends.s3.preflight.conditions import (
    probe_conditional_copies,
    probe_conditional_deletes,
    probe_conditional_writes,
    probe_copy,
    probe_matched_copies,
)
from s3sftp.backends.s3.preflight.probes import refusal_finding
from s3sftp.backends.s3.preflight.reads import (
    probe_absence,
    probe_delete,
    probe_pages,
    probe_ranges,
    probe_read,
    probe_versions,
)
from s3sftp.backends.s3.preflight.writes import probe_batch_deletes, probe_multipart, probe_tags, probe_write
from s3sftp.backends.s3.recovery.bucket_journal import journal_prefix
from s3sftp.backends.s3.write.delete_object import delete_object
from s3sftp.errors import StorageError

Probe = Callable[[S3Client, str], Awaitable[Finding]]


async def check(options: S3Options) -> list[Finding]:
    """Probe the bucket and return all findings.

    The worst is a finding too: this never raises because of the store.
    """
    client = S3Client(options)
    client.features.is_recognised = True  # so that what its name implies is probed too
    await client.start()
    try:
        return [finding async for finding in _Check(client).findings()]
    finally:
        await client.stop()


class _Check:
    def __init__(self, client: S3Client) -> None:
        self._client = client
        prefix, name = client.options.prefix, f"check-{uuid.uuid4().hex}"
        self._probe = f"{prefix}.s3sftp-{name}"
        self._claim = f"{journal_prefix(prefix)}{name}"

    async def findings(self) -> AsyncIterator[Finding]:
        reached = await probe_bucket(self._client)
        yield reached
        if reached.state == "failed":
            return
        try:
            for probe in self._probes():
                yield await self._found(probe)
        finally:
            await self._clean()
        if (lacking := self._client.features.missing) != ():
            yield _described(lacking)

    def _probes(self) -> list[Probe]:
        return [
            probe_write,
            probe_read,
            probe_ranges,
            probe_versions,
            probe_conditional_writes,
            probe_copy,
            probe_conditional_copies,
            probe_matched_copies,
            probe_conditional_deletes,
            probe_multipart,
            lambda client, _: probe_checksums(client),
            probe_kept,
            lambda client, _: probe_sizes(client),
            probe_batch_deletes,
            probe_tags,
            probe_pages,
            probe_absence,
            probe_delete,
            lambda client, _: probe_journal(client, self._claim),
            probe_lifecycle,
            probe_versioning,
        ]

    async def _found(self, probe: Probe) -> Finding:
        try:
            return await probe(self._client, self._probe)
        except StorageError as error:  # an error that the probe did not expect
            return refusal_finding("check", error)

    async def _clean(self) -> None:
        """Remove the objects of all probes, whose keys begin with the probe's name."""
        keys = {self._probe, *(f"{self._probe}-{name}" for name in ("copy", "more", "other", "parts"))}
        if self._client.options.journal == "bucket":
            keys.add(self._claim)
        with suppress(StorageError):
            answer = await self._client.call("ListObjectsV2", Prefix=self._probe)
            keys |= {line["Key"] for line in answer.get("Contents", ())}
        for key in sorted(keys):
            with suppress(StorageError):
                await delete_object(self._client, key)


def _described(lacking: Iterable[Feature]) -> Finding:
    names = ", ".join(f'"{feature}"' for feature in lacking)
    return Finding(
        "store",
        "ok",
        f"s3.lacks = [{names}] describes it",
        "set that, and no request has to find out; the server works around each of them in any case",
    )
