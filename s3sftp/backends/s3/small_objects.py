"""Objects of the server's own, below the reserved prefix of a bucket: the outbox of events, kept uploads."""

from __future__ import annotations

import time
import uuid
from typing import Any, Final

from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.credentials.user_scope import in_scope
from s3sftp.backends.s3.http.response_body import read_all, response_body
from s3sftp.backends.s3.keys import reserved_prefix
from s3sftp.backends.s3.metadata.objects import new_object, server_time, version_of
from s3sftp.backends.s3.retry_policy import RequestKind
from s3sftp.backends.s3.write.conditional_support import ConditionalSupport
from s3sftp.backends.s3.write.delete_object import delete_object
from s3sftp.backends.s3.write.delete_version import delete_version
from s3sftp.backends.s3.write.put_object import put_object
from s3sftp.backends.small_objects import ListedEntry, ListedPage
from s3sftp.errors import Changed, NotFound, StorageFailure, describe_unexpected

_MAX_ENTRY_BYTES: Final = 256 << 10


def events_prefix(prefix: str) -> str:
    """The prefix of the outbox's keys."""
    return f"{reserved_prefix(prefix)}events/"


class BucketObjects:
    """Objects below the reserved prefix. Their requests are the server's own, whoever caused them."""

    is_durable = True

    def __init__(
        self, client: S3Client, root: str | None = None, conditions: ConditionalSupport | None = None
    ) -> None:
        """`root`: the prefix of their keys; by default that of the outbox."""
        self._client = client
        self._root = events_prefix(client.options.prefix) if root is None else root
        self._conditions = conditions or ConditionalSupport(client)
        self.description = f"s3://{client.options.bucket}/{self._root}"

    async def put(self, key: str, data: bytes, *, etag: str | None = None, is_new: bool = False) -> str:
        conditions = {} if etag is None else {"IfMatch": etag}
        if is_new:
            conditions = {"IfNoneMatch": "*"}
        with in_scope(None):
            await self._conditions.prepare_write(self._root + key, conditions)
            return await self._put(self._root + key, data, conditions)

    async def _put(self, key: str, data: bytes, conditions: dict[str, str]) -> str:
        write_id = str(uuid.uuid4())
        fields = new_object(self._client.options, write_id, None)
        fields.pop("StorageClass", None)  # classes for rarely read data charge for 128 KiB and 30 days
        completed = await put_object(
            self._client,
            key,
            data,
            write_id,
            fields,
            conditions,
            kind=RequestKind.METADATA if len(data) <= _MAX_ENTRY_BYTES else RequestKind.DATA,
        )
        return completed.version or ""

    async def read(self, key: str) -> bytes | None:
        found = await self.read_version(key)
        return None if found is None else found[0]

    async def read_version(self, key: str, most_bytes: int = _MAX_ENTRY_BYTES) -> tuple[bytes, str] | None:
        """Return an object's content and its ETag; None if there is no such object.

        Raises StorageFailure: if it has more than `most_bytes`.
        """
        with in_scope(None):
            try:
                answer = await self._client.call("GetObject", Key=self._root + key)
            except NotFound:
                return None
            stall = self._client.options.stall_timeout.total_seconds()
            try:
                data = await read_all(response_body(answer), most_bytes, stall)
            except Exception as failure:  # a body can break with many exceptions
                raise StorageFailure(
                    detail=f"GetObject: {describe_unexpected(failure)} (key {key!r})"
                ) from failure
        return data, version_of(answer) or ""

    async def erase(self, key: str, etag: str) -> bool:
        """Remove an object if it still has this ETag; return whether it had."""
        with in_scope(None):
            try:
                return await delete_version(self._client, self._conditions, self._root + key, etag)
            except Changed:
                return False

    async def delete(self, key: str) -> None:
        with in_scope(None):
            await delete_object(self._client, self._root + key)

    async def page(
        self, prefix: str, *, after: str | None = None, most: int = 1000, delimiter: str = ""
    ) -> ListedPage:
        further: dict[str, Any] = {"ContinuationToken": after} if after else {}
        if delimiter:
            further["Delimiter"] = delimiter
        with in_scope(None):
            async with self._client.listings.slot():
                answer = await self._client.call(
                    "ListObjectsV2", Prefix=self._root + prefix, MaxKeys=most, **further
                )
        start = len(self._root)
        entries = [
            ListedEntry(
                line["Key"][start:],
                str(line.get("ETag", "")),
                int(line.get("Size", 1)),
                line["LastModified"].timestamp() if line.get("LastModified") else time.time(),
            )
            for line in answer.get("Contents", ())
        ]
        folders = [line["Prefix"][start:] for line in answer.get("CommonPrefixes", ())]
        now = server_time(answer)
        return ListedPage(
            entries, folders, answer.get("NextContinuationToken"), time.time() if now is None else now
        )
