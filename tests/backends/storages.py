"""The backends that the promises run on."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from s3sftp.backends import Place
from s3sftp.backends.local import LocalBackend, LocalOptions
from s3sftp.backends.memory import MemoryBackend
from s3sftp.backends.s3 import S3Backend, S3Options
from s3sftp.backends.s3.keys import KeyMapping
from s3sftp.testing import Outside, Subject
from testbed.s3_store import Space, Store
from tests.support.s3_client import s3_client


@asynccontextmanager
async def in_memory() -> AsyncIterator[Subject]:
    """With chunks, pages and reads so small that every border is crossed."""
    backend = MemoryBackend(
        chunk_bytes=7,
        min_chunk_bytes=3,
        keep_unit_bytes=2,
        parallel_chunks=3,
        chunk_growth_bytes=2,
        page_entries=3,
        read_bytes=5000,
    )

    async def unfinished_uploads() -> int:
        return backend.open_uploads

    async def put(place: Place, data: bytes) -> None:
        backend.put(place.key, data)

    async def delete(place: Place) -> None:
        del backend.objects[place.key]

    yield Subject(backend, Outside(put, delete), unfinished_uploads)


@asynccontextmanager
async def on_s3(store: Store, *, cache_seconds: float) -> AsyncIterator[Subject]:
    """A prefix in a fresh bucket, with the smallest parts that S3 takes."""
    with store.space() as space:
        options = s3_options(store, space, cache_seconds)
        keys = KeyMapping(options.prefix)
        async with s3_client(store, space.bucket) as s3:

            async def unfinished_uploads() -> int:
                return len(await s3.multipart_uploads(options.prefix))

            outside = Outside(
                lambda place, data: s3.put(keys.key_of(place), data),
                lambda place: s3.delete(keys.key_of(place)),
                seen_after=cache_seconds,
            )
            yield Subject(S3Backend(options, None), outside, unfinished_uploads)


@asynccontextmanager
async def on_local(root: Path, **options: object) -> AsyncIterator[Subject]:
    """A directory of its own below `root`."""
    directory = Path(tempfile.mkdtemp(dir=root))

    async def unfinished_uploads() -> int:
        return len(unfinished_in(directory))

    backend = LocalBackend(LocalOptions.model_validate({"root": directory, **options}))
    yield Subject(backend, outside_of(directory), unfinished_uploads)


def outside_of(directory: Path) -> Outside:
    """Somebody who changes files of a directory."""

    async def put(place: Place, data: bytes) -> None:
        file = Path(os.fsdecode(os.path.join(os.fsencode(directory), place.key)))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    async def delete(place: Place) -> None:
        os.unlink(os.path.join(os.fsencode(directory), place.key))

    return Outside(put, delete)


def unfinished_in(directory: Path) -> list[str]:
    """Uploads with a private name, and unnamed ones that this process has open."""
    named = [str(file) for file in directory.rglob(".s3sftp-*")]
    below = f"{directory}/"
    return named + [link for link in open_below(directory) if link.startswith(below) and "(deleted)" in link]


def open_below(root: Path) -> list[str]:
    """What this process has open at or below a directory."""
    links = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the listing's own
            links.append(os.readlink(f"/proc/self/fd/{number}"))
    return sorted(link for link in links if link.startswith(str(root)))


def s3_options(store: Store, space: Space, cache_seconds: float) -> S3Options:
    return S3Options(
        bucket=space.bucket,
        prefix=f"{space.prefix}tenants/{secrets.token_hex(4)}/",
        endpoint_url=store.endpoint_url,
        region=store.region,
        addressing="path",
        access_key_id=SecretStr(store.access_key),
        secret_access_key=SecretStr(store.secret_key),
        part_bytes=5 << 20,
        cache_ttl=timedelta(seconds=cache_seconds),
        **store.options,
    )
