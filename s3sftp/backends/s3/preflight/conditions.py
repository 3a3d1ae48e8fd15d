"""Probes for `s3sftp check` which conditions the store honours, refuses, or ignores silently.

Each probe sends, for objects of its own, a request that its condition forbids.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from s3sftp.backends.findings import Finding
from s3sftp.backends.s3.checksums.digest import digest
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.http.request_body import RequestBody
from s3sftp.backends.s3.metadata.objects import new_object, placement
from s3sftp.backends.s3.options import MTIME_METADATA
from s3sftp.backends.s3.preflight.probes import (
    CONTENT,
    known_missing,
    missing_finding,
    put_probe,
    refusal_finding,
)
from s3sftp.backends.s3.retry_policy import RequestKind
from s3sftp.backends.s3.write.conditional_support import OTHER_VERSION, copy_to_itself, is_honoured
from s3sftp.errors import StorageError

_NO_LATE_TIMES: Final = 's3.late_mtime = "ignore": times that come after an upload cannot be kept'
_Asked = Mapping[str, Callable[[], Awaitable[object]]]
"""Requests by the name of their condition."""


async def probe_conditional_writes(client: S3Client, key: str) -> Finding:
    """Probe that neither PutObject nor CompleteMultipartUpload replaces what its condition protects."""
    condition: dict[str, Any] = {"IfNoneMatch": "*"}
    asked: _Asked = {
        "If-None-Match on PutObject": lambda: put_probe(client, key, **condition),
        "If-None-Match on CompleteMultipartUpload": lambda: _whole_upload(client, key, condition),
    }
    return await _asked(client, "conditional writes", Feature.CONDITIONAL_WRITES, asked)


async def probe_copy(client: S3Client, key: str) -> Finding:
    """Probe CopyObject, on which renames and late times depend. Leaves the copy for the next probes."""
    try:
        await _copy(client, key, {})
        before, after = [await client.call("HeadObject", Key=each) for each in (key, f"{key}-copy")]
    except StorageError as error:
        return refusal_finding(
            "copy", error, "renames, late times and appends need CopyObject: use another store"
        )
    if before.get("Metadata") != after.get("Metadata"):
        return Finding("copy", "warning", "copies lose their metadata: renamed files lose their times")
    return await _late_time(client, f"{key}-copy")


async def _late_time(client: S3Client, key: str) -> Finding:
    """Probe that copying an object onto itself changes its metadata."""
    try:
        await copy_to_itself(client, key, Metadata={MTIME_METADATA: "1"})
        head = await client.call("HeadObject", Key=key)
    except StorageError as error:
        return refusal_finding("copy", error, _NO_LATE_TIMES, state="warning")
    if head.get("Metadata", {}).get(MTIME_METADATA) != "1":
        text = "the store ignores the new metadata of a copy onto itself"
        return Finding("copy", "warning", text, _NO_LATE_TIMES)
    return Finding("copy", "ok", "CopyObject works, and changes metadata")


async def probe_conditional_copies(client: S3Client, key: str) -> Finding:
    """Probe that a copy does not replace what its condition protects."""
    asked: _Asked = {"If-None-Match on CopyObject": lambda: _copy(client, key, {"IfNoneMatch": "*"})}
    return await _asked(client, "conditional copies", Feature.CONDITIONAL_COPIES, asked)


async def probe_matched_copies(client: S3Client, key: str) -> Finding:
    """Probe that a copy is of the requested version."""
    condition = {"CopySourceIfMatch": OTHER_VERSION}
    asked: _Asked = {"x-amz-copy-source-if-match on CopyObject": lambda: _copy(client, key, condition)}
    return await _asked(client, "matched copies", Feature.MATCHED_COPIES, asked)


async def probe_conditional_deletes(client: S3Client, key: str) -> Finding:
    """Probe that an object which has been replaced is not removed."""
    other = f"{key}-other"
    try:
        await put_probe(client, other)
    except StorageError as error:
        return refusal_finding("conditional deletes", error, state="warning")
    asked: _Asked = {
        "If-Match on DeleteObject": lambda: client.call("DeleteObject", Key=other, IfMatch=OTHER_VERSION)
    }
    return await _asked(client, "conditional deletes", Feature.CONDITIONAL_DELETES, asked)


async def _asked(client: S3Client, what: str, feature: Feature, asked: _Asked) -> Finding:
    """Send the requests, none of which may succeed, and report what happened."""
    if (finding := known_missing(client, what, feature)) is not None:
        return finding
    for name, request in asked.items():
        try:
            honoured = await is_honoured(request())
        except StorageError as error:
            return refusal_finding(what, error, state="warning")
        if not honoured:
            verb = "refuses" if honoured is None else "ignores"
            return missing_finding(client, what, feature, f"the store {verb} {name}")
    return Finding(what, "ok", f"the store honours {' and '.join(asked)}")


async def _copy(client: S3Client, key: str, conditions: Mapping[str, str]) -> None:
    source = {"Bucket": client.options.bucket, "Key": key}
    fields = {**placement(client.options), **conditions}
    await client.call("CopyObject", kind=RequestKind.JOIN, Key=f"{key}-copy", CopySource=source, **fields)


async def _whole_upload(client: S3Client, key: str, conditions: Mapping[str, Any]) -> None:
    """Upload one part and complete with conditions. MD5 proves it, because another probe covers checksums."""
    fields = new_object(client.options, str(uuid.uuid4()), None)
    upload = (await client.call("CreateMultipartUpload", Key=key, **fields))["UploadId"]
    try:
        proof = await digest(CONTENT, "none" if client.options.checksum == "none" else "md5")
        part = await client.call(
            "UploadPart",
            Key=key,
            UploadId=upload,
            PartNumber=1,
            Body=RequestBody(CONTENT),
            **proof.fields,
        )
        await client.call(
            "CompleteMultipartUpload",
            Key=key,
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
            **conditions,
        )
    except BaseException:
        with suppress(StorageError):
            await client.call("AbortMultipartUpload", Key=key, UploadId=upload)
        raise
