"""Probes for `s3sftp check` of what a store accepts: an object, an upload in parts, batch deletes and tags.

Where an object or a part is refused, a probe finds out which option is the reason.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Final

from s3sftp.backends.findings import Finding
from s3sftp.backends.s3.checksums.fallback import algorithm_for
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.error_advice import advice_for
from s3sftp.backends.s3.errors import is_batch_refusal, is_denied, is_refusal, request_error_behind
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.metadata.objects import new_object
from s3sftp.backends.s3.options import S3Options
from s3sftp.backends.s3.preflight.probes import (
    CONTENT,
    known_missing,
    missing_finding,
    probe_exists,
    put_probe,
    refusal_finding,
)
from s3sftp.backends.s3.recovery.upload_journal import UploadJournal
from s3sftp.backends.s3.write.completion import written_by
from s3sftp.backends.s3.write.multipart import MultipartUpload
from s3sftp.errors import StorageError


@dataclass(frozen=True, slots=True)
class _Addition:
    """An addition that the options make to each write, and that a store may refuse."""

    without: dict[str, Any]
    """Options that leave the addition out."""
    advice: str
    """What to do if the store does not support it."""
    permission: str = ""
    """The permission to grant if the role lacks it."""


_ADDITIONS: Final = (
    _Addition({"checksum": "none"}, 's3.checksum = "none"'),
    _Addition({"tags": {}}, "leave out s3.tags", "s3:PutObjectTagging below the prefix"),
    _Addition({"acl": None}, "leave out s3.acl", "s3:PutObjectAcl below the prefix"),
    _Addition({"storage_class": None}, "leave out s3.storage_class, or name one that the store has"),
    _Addition(
        {"sse": "none", "sse_kms_key_id": None, "bucket_key_enabled": None},
        'set s3.sse to "none", or to what the store has',
        "kms:GenerateDataKey and kms:Decrypt on the key",
    ),
)


async def probe_write(client: S3Client, key: str) -> Finding:
    """Probe PutObject with all that the options add.

    The probes that follow leave out what is refused here.
    """
    try:
        await put_probe(client, key)
    except StorageError as error:
        return await _refused_because_of_option(client, key, error)
    return Finding("write", "ok", f"PutObject works, with checksum {algorithm_for(client)}")


async def _refused_because_of_option(client: S3Client, key: str, error: StorageError) -> Finding:
    request_error = request_error_behind(error)
    denied = request_error is not None and is_denied(request_error)
    options = client.options
    for addition in _ADDITIONS if denied or is_refusal(error) else ():
        if (denied and not addition.permission) or not _changes(options, addition.without):
            continue
        client.options = options.model_copy(update=addition.without)
        try:
            await put_probe(client, key)
        except StorageError:
            client.options = options
            continue
        found = refusal_finding("write", error)
        if denied:
            return Finding("write", "failed", found.text, f"allow the server's role {addition.permission}")
        return Finding("write", "failed", found.text, addition.advice)
    return refusal_finding("write", error, _general_advice(error))


def _changes(options: S3Options, without: dict[str, Any]) -> bool:
    return any(getattr(options, name) != value for name, value in without.items())


def _general_advice(error: StorageError) -> str:
    return advice_for(error) or "the server cannot store anything: see what the store says of this request"


async def probe_multipart(client: S3Client, key: str) -> Finding:
    """Probe an upload of one part that is completed, and another that is aborted."""
    parts = f"{key}-parts"
    try:
        await _upload_part(client, parts)
    except StorageError as error:
        return await _refused_because_of_checksum(client, parts, error)
    try:
        begun = await client.call("CreateMultipartUpload", Key=parts)
        await client.call("AbortMultipartUpload", Key=parts, UploadId=begun["UploadId"])
    except StorageError as error:
        return refusal_finding("multipart", error, "unfinished uploads stay and cost")
    return Finding("multipart", "ok", "multipart uploads can be completed and aborted")


async def _upload_part(client: S3Client, key: str) -> None:
    write_id = str(uuid.uuid4())
    upload = MultipartUpload(
        client, UploadJournal("", ""), key, lambda: new_object(client.options, write_id, None)
    )
    try:
        await upload.upload(upload.reserve_number(), CONTENT)
        await upload.complete(written_by(write_id))
    finally:
        await upload.abort()


async def _refused_because_of_checksum(client: S3Client, key: str, error: StorageError) -> Finding:
    """Find out whether the checksum is the reason, unless it is a permission."""
    request_error = request_error_behind(error)
    options = client.options
    if options.checksum in ("crc32", "sha256") and request_error is not None and not is_denied(request_error):
        client.options = options.model_copy(update={"checksum": "md5"})
        try:
            await _upload_part(client, key)
        except StorageError:
            client.options = options
        else:
            return Finding(
                "multipart", "failed", refusal_finding("multipart", error).text, 's3.checksum = "md5"'
            )
    advice = advice_for(error) or "files above s3.part_bytes cannot be uploaded"
    return refusal_finding("multipart", error, advice)


_BATCHES = "batch deletes"


async def probe_batch_deletes(client: S3Client, key: str) -> Finding:
    """Probe that DeleteObjects removes what it reports."""
    if (finding := known_missing(client, _BATCHES, Feature.BATCH_DELETES)) is not None:
        return finding
    keys = [f"{key}-other", f"{key}-more"]
    try:
        for each in keys:
            await put_probe(client, each)
        await client.call("DeleteObjects", Delete={"Objects": [{"Key": each} for each in keys]})
        left = [each for each in keys if await probe_exists(client, each)]
    except StorageError as error:
        if is_batch_refusal(error):
            return missing_finding(client, _BATCHES, Feature.BATCH_DELETES, "the store refuses DeleteObjects")
        return refusal_finding(_BATCHES, error)
    if left:
        text = "the store answers DeleteObjects with success, and removes nothing"
        return missing_finding(client, _BATCHES, Feature.BATCH_DELETES, text)
    return Finding(_BATCHES, "ok", "DeleteObjects works")


async def probe_tags(client: S3Client, key: str) -> Finding:
    """Probe that the tags of the options are stored and can be read, as copies in parts require."""
    if (finding := known_missing(client, "tags", Feature.TAGS)) is not None:
        return finding
    if not client.options.tags:
        return Finding("tags", "ok", "not used: s3.tags is empty")
    try:
        answer = await client.call("GetObjectTagging", Key=key)
    except StorageError as error:
        return refusal_finding("tags", error, "copies of large files lose their tags", state="warning")
    kept = {tag["Key"]: tag["Value"] for tag in answer.get("TagSet", ())}
    if kept != client.options.tags:
        return missing_finding(client, "tags", Feature.TAGS, "the store ignores the tags of what is written")
    return Finding("tags", "ok", "tags are kept, and can be read")
