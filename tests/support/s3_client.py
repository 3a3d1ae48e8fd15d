"""An S3 client of the tests' own: what is really in the bucket, seen past the server under test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from testbed.s3_store import Store

# One session for all: it keeps the parsed service description, which takes longer than most tests.
_session = get_session()


@dataclass(frozen=True)
class S3:
    """One bucket. Keys are text, as S3 has them."""

    client: Any
    bucket: str

    async def keys(self, prefix: str = "") -> list[str]:
        """Every key under a prefix, sorted, directory markers included."""
        paginator = self.client.get_paginator("list_objects_v2")
        pages = [page async for page in paginator.paginate(Bucket=self.bucket, Prefix=prefix)]
        return sorted(item["Key"] for page in pages for item in page.get("Contents", []))

    async def body(self, key: str) -> bytes:
        answer = await self.client.get_object(Bucket=self.bucket, Key=key)
        async with answer["Body"] as stream:
            return await stream.read()

    async def head(self, key: str) -> dict[str, Any]:
        return await self.client.head_object(Bucket=self.bucket, Key=key)

    async def exists(self, key: str) -> bool:
        try:
            await self.head(key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise
        return True

    async def put(self, key: str, body: bytes = b"", **options: Any) -> str:
        """Write an object; returns its ETag."""
        answer = await self.client.put_object(Bucket=self.bucket, Key=key, Body=body, **options)
        return answer["ETag"]

    async def delete(self, key: str) -> None:
        await self.client.delete_object(Bucket=self.bucket, Key=key)

    async def multipart_uploads(self, prefix: str = "") -> list[tuple[str, str]]:
        """Unfinished uploads under a prefix as (key, upload id)."""
        answer = await self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=prefix)
        return [(upload["Key"], upload["UploadId"]) for upload in answer.get("Uploads", [])]


@asynccontextmanager
async def s3_client(store: Store, bucket: str) -> AsyncIterator[S3]:
    """A client of one bucket of a store."""
    config = AioConfig(retries={"total_max_attempts": 3}, **store.client_options)
    async with _session.create_client(
        "s3",
        endpoint_url=store.endpoint_url,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
        region_name=store.region,
        config=config,
    ) as client:
        yield S3(client, bucket)
