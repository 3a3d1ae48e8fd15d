"""Probes for `s3sftp check` which checksums, copied parts and sizes of parts the store accepts.

The probes upload like the server does, so that the same code detects what the store lacks and avoids it.
"""

from __future__ import annotations

import uuid
from contextlib import suppress

from s3sftp.backends.findings import Finding
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.errors import request_error_behind
from s3sftp.backends.s3.features import CONSEQUENCES, Feature
from s3sftp.backends.s3.metadata.objects import new_object, version_of
from s3sftp.backends.s3.preflight.probes import put_probe
from s3sftp.backends.s3.recovery.upload_journal import UploadJournal
from s3sftp.backends.s3.write.completion import written_by
from s3sftp.backends.s3.write.delete_object import delete_object
from s3sftp.backends.s3.write.multipart import MultipartUpload
from s3sftp.backends.s3.write.part_sizes import CopySource
from s3sftp.errors import StorageError

_TAIL = b"written by s3sftp check; safe to delete\n"


async def probe_checksums(client: S3Client) -> Finding:
    """Report what the objects written so far have shown about the configured checksum."""
    wanted = client.options.checksum
    if wanted in ("md5", "none"):
        return Finding("checksums", "ok", f"s3.checksum is {wanted}: no other is asked for")
    if not client.features.has(Feature.CHECKSUMS):
        return _lacking(
            "checksums",
            Feature.CHECKSUMS,
            f"the store refuses the checksum {wanted}",
            'set s3.checksum = "md5", which saves the attempt after each start',
        )
    if not client.features.has(Feature.WHOLE_CHECKSUMS):
        return _lacking(
            "checksums", Feature.WHOLE_CHECKSUMS, "the store knows no checksum of a whole multipart upload"
        )
    return Finding("checksums", "ok", f"{wanted} is taken of requests and of multipart uploads")


async def probe_kept(client: S3Client, probe: str) -> Finding:
    """Probe appending to a file: its parts are copied from another object, with the configured checksum."""
    source, target = f"{probe}-kept", f"{probe}-added"
    try:
        size = client.options.min_part_bytes + 1
        version = version_of(await put_probe(client, source, bytes(size)))
        whole, less = (CopySource(source, version, 0, stop) for stop in (size, size - 1))
        try:
            await _added(client, target, less, whole)
        except StorageError:
            if client.features.has(Feature.UNEQUAL_PARTS):
                raise
            await _added(client, target, less)
    except StorageError as error:
        request_error = request_error_behind(error)
        said = (
            f" ({request_error.api}: {request_error.code}, HTTP {request_error.status})"
            if request_error is not None
            else ""
        )
        return Finding(
            "kept ranges",
            "failed",
            f"{error}{said}",
            "reput, append and renames of large files copy parts of objects: allow s3:GetObject and"
            " s3:PutObject below the prefix, or use a store that has UploadPartCopy",
        )
    finally:
        for key in (source, target):
            with suppress(StorageError):
                await delete_object(client, key)
    if not client.features.has(Feature.COPIED_PART_CHECKSUMS):
        return _lacking(
            "kept ranges",
            Feature.COPIED_PART_CHECKSUMS,
            "the store takes no copied part where there are checksums, or tells wrong ones",
        )
    return Finding("kept ranges", "ok", "parts of an upload can be copied from another object")


async def probe_sizes(client: S3Client) -> Finding:
    """Report what the previous probe has shown about the sizes of parts."""
    if not client.features.has(Feature.UNEQUAL_PARTS):
        return _lacking(
            "part sizes",
            Feature.UNEQUAL_PARTS,
            "the store wants all parts but the last of one size",
            'set s3.lacks = ["unequal-parts"] and s3.part_bytes to the largest file divided by 10 000',
        )
    return Finding("part sizes", "ok", "parts of one upload may differ in size")


def _lacking(what: str, feature: Feature, text: str, advice: str = "") -> Finding:
    known = f'set s3.lacks = ["{feature}"] so that the server knows it from the start'
    return Finding(what, "warning", f"{text}: {CONSEQUENCES[feature]}", advice or known)


async def _added(client: S3Client, key: str, *kept: CopySource) -> None:
    write_id = str(uuid.uuid4())
    fields = new_object(client.options, write_id, None)
    upload = MultipartUpload(client, UploadJournal("", ""), key, lambda: fields, copies=True)
    try:
        for source in kept:
            refused = await upload.copy(upload.reserve_number(), source)
            if refused is not None:
                raise refused
        await upload.upload(upload.reserve_number(), _TAIL)
        await upload.complete(written_by(write_id))
    finally:
        await upload.abort()
