"""Probes for `s3sftp check` of what a store shows: objects, ranges, versions, listings and missing names."""

from __future__ import annotations

from s3sftp.backends.findings import Finding
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.error_advice import advice_for
from s3sftp.backends.s3.errors import has_status, is_denied, is_refusal, request_error_behind
from s3sftp.backends.s3.features import CONSEQUENCES, Feature
from s3sftp.backends.s3.preflight.probes import (
    CONTENT,
    known_missing,
    missing_finding,
    probe_exists,
    read_probe,
    refusal_finding,
)
from s3sftp.backends.s3.recovery.bucket_journal import put_small
from s3sftp.backends.s3.requests.list_pages import first_lines, is_listed
from s3sftp.backends.s3.write.conditional_support import OTHER_VERSION
from s3sftp.backends.s3.write.delete_object import delete_object
from s3sftp.errors import NotFound, StorageError

_NAMES = ("a", "b", "c")
"""Names below a probe's key, of which a listing shows one page each."""


async def probe_read(client: S3Client, key: str) -> Finding:
    """Probe HEAD and GET: the bytes and the metadata."""
    try:
        head = await client.call("HeadObject", Key=key)
        body = await read_probe(client, await client.call("GetObject", Key=key))
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


async def probe_ranges(client: S3Client, key: str) -> Finding:
    """Probe that a range returns exactly those bytes."""
    try:
        body = await read_probe(client, await client.call("GetObject", Key=key, Range="bytes=3-6"))
    except StorageError as error:
        return refusal_finding("ranges", error, "downloads need ranged GETs: use a store that has them")
    if body != CONTENT[3:7]:
        return Finding("ranges", "failed", "the store ignores Range", "downloads cannot work on this store")
    return Finding("ranges", "ok", "ranged GET is honoured")


async def probe_versions(client: S3Client, key: str) -> Finding:
    """Probe that a GET of another version is refused."""
    if (finding := known_missing(client, "versions", Feature.MATCHED_READS)) is not None:
        return finding
    try:
        await read_probe(client, await client.call("GetObject", Key=key, IfMatch=OTHER_VERSION))
    except StorageError as error:
        if has_status(error, 412):
            return Finding("versions", "ok", "GET with If-Match is honoured")
        if is_refusal(error):
            return missing_finding(
                client, "versions", Feature.MATCHED_READS, "the store refuses If-Match on GET"
            )
        return refusal_finding("versions", error, "downloads insist on one version by If-Match")
    return Finding(
        "versions",
        "warning",
        "the store ignores If-Match on GET",
        "a file that is replaced while it is downloaded is noticed only by comparing ETags of answers",
    )


async def probe_delete(client: S3Client, key: str) -> Finding:
    """Probe that a deleted object is gone."""
    try:
        await delete_object(client, key)
        gone = not await probe_exists(client, key)
    except StorageError as error:
        return refusal_finding("delete", error)
    if gone:
        return Finding("delete", "ok", "DeleteObject works")
    return Finding("delete", "failed", "a deleted object is still there", "use another store")


async def probe_pages(client: S3Client, probe: str) -> Finding:
    """Probe that listings continue from page to page and contain all names, in either version."""
    keys = [f"{probe}-listed/{name}" for name in _NAMES]
    try:
        for key in keys:
            await put_small(client, key, b"")
        found = await _listed_one_by_one(client, f"{probe}-listed/")
        by_name = [await is_listed(client, name) for name in (keys[0], f"{probe}-listed/", f"{keys[0]}-no")]
    except StorageError as error:
        advice = advice_for(error) or "use another store: directories cannot be shown"
        return Finding("listings", "failed", f"{error} ({error.detail})", advice)
    finally:
        for key in keys:
            await _removed(client, key)
    if found != keys or by_name != [True, True, False]:
        return Finding(
            "listings", "failed", "a listing does not show what was written", "use another store: files hide"
        )
    missing = [each for each in (Feature.LIST_V2, Feature.ANY_PREFIX) if not client.features.has(each)]
    if missing:
        named = ", ".join(f'"{each}"' for each in missing)
        advice = f"set s3.lacks = [{named}] so that the server knows it from the start"
        return Finding("listings", "warning", "; ".join(CONSEQUENCES[each] for each in missing), advice)
    return Finding("listings", "ok", "listings go on from page to page, and find names")


async def probe_absence(client: S3Client, probe: str) -> Finding:
    """Probe that a missing name is reported as missing."""
    try:
        await client.call("HeadObject", Key=f"{probe}-absent")
    except NotFound as error:
        request_error = request_error_behind(error)
        by_list = (
            request_error is not None and request_error.code == "NoSuchKey"
        )  # a reply to HEAD has no code
        how = "by LIST, as HEAD of it is refused: one request more" if by_list else "by HEAD"
        return Finding("missing names", "ok", f"what is not there is told {how}")
    except StorageError as error:
        request_error = request_error_behind(error)
        if request_error is not None and is_denied(request_error):
            return Finding(
                "missing names",
                "failed",
                "a name that is not there cannot be told from one that may not be read (HTTP 403)",
                "allow the server's role s3:ListBucket on the bucket, for the prefix",
            )
        return Finding("missing names", "failed", f"{error} ({error.detail})", advice_for(error))
    return Finding(
        "missing names", "failed", "the store says that a name is there that nobody made", "use another store"
    )


async def _listed_one_by_one(client: S3Client, prefix: str) -> list[str]:
    """List the keys below a prefix in pages of one."""
    return [str(line["Key"]) for line in await first_lines(client, prefix, len(_NAMES) + 1, page=1)]


async def _removed(client: S3Client, key: str) -> None:
    try:
        await delete_object(client, key)
    except StorageError:
        return  # another probe reports the reason
