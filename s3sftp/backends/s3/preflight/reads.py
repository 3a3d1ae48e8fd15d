"""Probes reads for `s3sftp check`: whole objects, ranges, versions, and the removal of an object."""

from __future__ import annotations

from s3sftp.backends.findings import Finding
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.errors import has_status, is_refusal
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.preflight.probes import (
    CONTENT,
    known_missing,
    missing_finding,
    probe_exists,
    read_probe,
    refusal_finding,
)
from s3sftp.backends.s3.write.conditional_support import OTHER_VERSION
from s3sftp.backends.s3.write.delete_object import delete_object
from s3sftp.errors import StorageError


async def probe_read(store: S3Client, key: str) -> Finding:
    """Probe HEAD and GET: the bytes and the metadata."""
    try:
        head = await store.call("HeadObject", Key=key)
        body = await read_probe(store, await store.call("GetObject", Key=key))
    except StorageError as error:
        return refusal_finding("read", error)
    if body != CONTENT:
        return Finding("read", "failed", "what was read is not what was written", "use another store")
    if "s3sftp-upload" not in head.get("Metadata", {}):
        return Finding(
            "read",
            "warning",
            "the store drops object metadata: modification times are lost, and a lost reply to a "
            "conditional write looks like a failure",
        )
    return Finding("read", "ok", "HeadObject and GetObject work, metadata is kept")


async def probe_ranges(store: S3Client, key: str) -> Finding:
    """Probe that a range returns exactly those bytes."""
    try:
        body = await read_probe(store, await store.call("GetObject", Key=key, Range="bytes=3-6"))
    except StorageError as error:
        return refusal_finding("ranges", error, "downloads need ranged GETs: use a store that has them")
    if body != CONTENT[3:7]:
        return Finding("ranges", "failed", "the store ignores Range", "downloads cannot work on this store")
    return Finding("ranges", "ok", "ranged GET is honoured")


async def probe_versions(store: S3Client, key: str) -> Finding:
    """Probe that a GET of another version is refused."""
    if (finding := known_missing(store, "versions", Feature.MATCHED_READS)) is not None:
        return finding
    try:
        await read_probe(store, await store.call("GetObject", Key=key, IfMatch=OTHER_VERSION))
    except StorageError as error:
        if has_status(error, 412):
            return Finding("versions", "ok", "GET with If-Match is honoured")
        if is_refusal(error):
            return missing_finding(
                store, "versions", Feature.MATCHED_READS, "the store refuses If-Match on GET"
            )
        return refusal_finding("versions", error, "downloads insist on one version by If-Match")
    return Finding(
        "versions",
        "warning",
        "the store ignores If-Match on GET",
        "a file that is replaced while it is downloaded is noticed only by comparing ETags of answers",
    )


async def probe_delete(store: S3Client, key: str) -> Finding:
    """Probe that a deleted object is gone."""
    try:
        await delete_object(store, key)
        gone = not await probe_exists(store, key)
    except StorageError as error:
        return refusal_finding("delete", error)
    if gone:
        return Finding("delete", "ok", "DeleteObject works")
    return Finding("delete", "failed", "a deleted object is still there", "use another store")
