"""The backends that the promises run on."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from pydantic import SecretStr

from s3sftp.backends.memory import MemoryBackend
from s3sftp.backends.s3 import S3Backend, S3Options
from tests.backends.promises.storage import Storage
from tests.support.s3_client import s3_client
from tests.support.store import Store, new_bucket_name

Opening = Callable[[], AbstractAsyncContextManager[Storage]]
"""Opens the root of a fresh storage that has nothing in it."""


@asynccontextmanager
async def in_memory() -> AsyncIterator[Storage]:
    """With chunks, pages and reads so small that every border is crossed."""
    backend = MemoryBackend(
        chunk_bytes=7,
        min_chunk_bytes=3,
        parallel_chunks=3,
        chunk_growth_bytes=2,
        page_entries=3,
        read_bytes=5000,
    )

    async def unfinished_uploads() -> int:
        return backend.open_uploads

    yield Storage(backend, page_entries=3, unfinished_uploads=unfinished_uploads)


def on_s3(store: Store) -> Opening:
    """A prefix in a fresh bucket, with the smallest parts that S3 takes."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Storage]:
        bucket = new_bucket_name()
        store.make_bucket(bucket)
        backend = S3Backend(s3_options(store, bucket), None)
        async with s3_client(store, bucket) as s3:

            async def unfinished_uploads() -> int:
                return len(await s3.multipart_uploads())

            await backend.start()
            try:
                yield Storage(backend, unfinished_uploads=unfinished_uploads)
            finally:
                await backend.stop()
        store.drop_bucket(bucket)

    return opening


def s3_options(store: Store, bucket: str) -> S3Options:
    return S3Options(
        bucket=bucket,
        prefix=f"tenants/{secrets.token_hex(4)}/",
        endpoint_url=store.endpoint_url,
        region=store.region,
        addressing="path",
        access_key_id=SecretStr(store.access_key),
        secret_access_key=SecretStr(store.secret_key),
        part_bytes=5 << 20,
    )
