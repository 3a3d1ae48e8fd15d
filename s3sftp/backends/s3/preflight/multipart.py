"""Probes for `s3sftp check` whether a large file can be uploaded, and an upload aborted."""

from __future__ import annotations

import uuid

from s3sftp.backends.findings import Finding
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.error_advice import advice_for
from s3sftp.backends.s3.errors import is_denied, request_error_behind
from s3sftp.backends.s3.metadata.objects import new_object
from s3sftp.backends.s3.preflight.probes import CONTENT, refusal_finding
from s3sftp.backends.s3.recovery.upload_journal import UploadJournal
from s3sftp.backends.s3.write.completion import written_by
from s3sftp.backends.s3.write.multipart import MultipartUpload
from s3sftp.errors import StorageError


async def probe_multipart(store: S3Client, key: str) -> Finding:
    """Probe an upload of one part that is completed, and another that is aborted."""
    parts = f"{key}-parts"
    try:
        await _upload(store, parts)
    except StorageError as error:
        return await _what_is_in_the_way(store, parts, error)
    try:
        begun = await store.call("CreateMultipartUpload", Key=parts)
        await store.call("AbortMultipartUpload", Key=parts, UploadId=begun["UploadId"])
    except StorageError as error:
        return refusal_finding("multipart", error, "unfinished uploads stay and cost")
    return Finding("multipart", "ok", "multipart uploads can be completed and aborted")


async def _upload(store: S3Client, key: str) -> None:
    write_id = str(uuid.uuid4())
    upload = MultipartUpload(store, UploadJournal("", ""), key, new_object(store.options, write_id, None))
    try:
        await upload.upload(upload.take(), CONTENT)
        await upload.complete(written_by(write_id))
    finally:
        await upload.abort()


async def _what_is_in_the_way(store: S3Client, key: str, error: StorageError) -> Finding:
    """Find out whether the checksum is the reason, unless it is a permission."""
    trouble = request_error_behind(error)
    options = store.options
    if options.checksum in ("crc32", "sha256") and trouble is not None and not is_denied(trouble):
        store.options = options.model_copy(update={"checksum": "md5"})
        try:
            await _upload(store, key)
        except StorageError:
            store.options = options
        else:
            return Finding(
                "multipart", "failed", refusal_finding("multipart", error).text, 's3.checksum = "md5"'
            )
    advice = advice_for(error) or "files above s3.part_bytes cannot be uploaded"
    return refusal_finding("multipart", error, advice)
