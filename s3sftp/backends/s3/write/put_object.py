"""PutObject: stores an object in one request, with a proof of its bytes and a mark that identifies it."""

from __future__ import annotations

from collections.abc import Mapping

from s3sftp.backends.contract import Buffer
from s3sftp.backends.s3.checksums.digest import checksum_in
from s3sftp.backends.s3.checksums.fallback import send_with_checksum
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.http.request_body import RequestBody
from s3sftp.backends.s3.metadata.objects import Fields
from s3sftp.backends.s3.retry_policy import RequestKind
from s3sftp.backends.s3.write.completion import CompletedWrite, complete_write, written_by


async def put_object(
    client: S3Client,
    key: str,
    data: Buffer,
    write_id: str,
    fields: Fields,
    conditions: Mapping[str, str],
    *,
    kind: RequestKind = RequestKind.DATA,
) -> CompletedWrite:
    """Store these bytes under the key; `fields` have the write's id among the metadata. Does not change the
    cache.

    Raises what `complete_write` raises.
    """
    completed, proof = await send_with_checksum(
        client,
        data,
        lambda proof: complete_write(
            client,
            "PutObject",
            key,
            written_by(write_id),
            kind=kind,
            moved_bytes=len(data),
            Body=RequestBody(data),
            **fields,
            **proof,
            **conditions,
        ),
    )
    return completed._replace(checksum=checksum_in(proof.fields))
