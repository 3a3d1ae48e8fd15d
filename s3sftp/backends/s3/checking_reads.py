"""Looks of `check`: what is read is what was written, in ranges and by version, and can be removed again."""

from __future__ import annotations

from s3sftp.backends.findings import Finding
from s3sftp.backends.s3.checking_answers import CONTENT, content, is_there, missing, refused, told
from s3sftp.backends.s3.client import Store
from s3sftp.backends.s3.conditions import OTHER_VERSION
from s3sftp.backends.s3.deleting import delete_object
from s3sftp.backends.s3.failures import has_status, is_refusal
from s3sftp.backends.s3.features import Feature
from s3sftp.errors import StorageError


async def look_read(store: Store, key: str) -> Finding:
    """HEAD and GET: the bytes, and the metadata."""
    try:
        head = await store.call("HeadObject", Key=key)
        body = await content(store, await store.call("GetObject", Key=key))
    except StorageError as error:
        return refused("read", error)
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


async def look_ranges(store: Store, key: str) -> Finding:
    """A part of the bytes is that part."""
    try:
        body = await content(store, await store.call("GetObject", Key=key, Range="bytes=3-6"))
    except StorageError as error:
        return refused("ranges", error, "downloads need ranged GETs: use a store that has them")
    if body != CONTENT[3:7]:
        return Finding("ranges", "failed", "the store ignores Range", "downloads cannot work on this store")
    return Finding("ranges", "ok", "ranged GET is honoured")


async def look_versions(store: Store, key: str) -> Finding:
    """GET of another version is refused."""
    if (finding := told(store, "versions", Feature.MATCHED_READS)) is not None:
        return finding
    try:
        await content(store, await store.call("GetObject", Key=key, IfMatch=OTHER_VERSION))
    except StorageError as error:
        if has_status(error, 412):
            return Finding("versions", "ok", "GET with If-Match is honoured")
        if is_refusal(error):
            return missing(store, "versions", Feature.MATCHED_READS, "the store refuses If-Match on GET")
        return refused("versions", error, "downloads insist on one version by If-Match")
    return Finding(
        "versions",
        "warning",
        "the store ignores If-Match on GET",
        "a file that is replaced while it is downloaded is noticed only by comparing ETags of answers",
    )


async def look_delete(store: Store, key: str) -> Finding:
    """What was removed is gone."""
    try:
        await delete_object(store, key)
        gone = not await is_there(store, key)
    except StorageError as error:
        return refused("delete", error)
    if gone:
        return Finding("delete", "ok", "DeleteObject works")
    return Finding("delete", "failed", "a deleted object is still there", "use another store")
