"""Look of `check`: can a large file be uploaded, and given up?"""

from __future__ import annotations

import uuid

from s3sftp.backends.findings import Finding
from s3sftp.backends.s3.advice import advice_on
from s3sftp.backends.s3.checking_answers import CONTENT, refused
from s3sftp.backends.s3.client import Store
from s3sftp.backends.s3.failures import cause_of, is_denied
from s3sftp.backends.s3.multipart import Multipart
from s3sftp.backends.s3.objects import new_object
from s3sftp.backends.s3.ownership import Journal
from s3sftp.backends.s3.publishing import written_by
from s3sftp.errors import StorageError


async def look_multipart(store: Store, key: str) -> Finding:
    """An upload of one part, whole, and another one aborted."""
    parts = f"{key}-parts"
    try:
        await _upload(store, parts)
    except StorageError as error:
        return await _what_is_in_the_way(store, parts, error)
    try:
        begun = await store.call("CreateMultipartUpload", Key=parts)
        await store.call("AbortMultipartUpload", Key=parts, UploadId=begun["UploadId"])
    except StorageError as error:
        return refused("multipart", error, "unfinished uploads stay and cost")
    return Finding("multipart", "ok", "multipart uploads can be completed and aborted")


async def _upload(store: Store, key: str) -> None:
    write_id = str(uuid.uuid4())
    upload = Multipart(store, Journal("", ""), key, new_object(store.options, write_id, None))
    try:
        await upload.upload(upload.take(), CONTENT)
        await upload.complete(written_by(write_id))
    finally:
        await upload.abort()


async def _what_is_in_the_way(store: Store, key: str, error: StorageError) -> Finding:
    """Unless it is a permission, it may be the checksum."""
    trouble = cause_of(error)
    options = store.options
    if options.checksum in ("crc32", "sha256") and trouble is not None and not is_denied(trouble):
        store.options = options.model_copy(update={"checksum": "md5"})
        try:
            await _upload(store, key)
        except StorageError:
            store.options = options
        else:
            return Finding("multipart", "failed", refused("multipart", error).text, 's3.checksum = "md5"')
    advice = advice_on(error) or "files above s3.part_bytes cannot be uploaded"
    return refused("multipart", error, advice)
