"""A client's file on its way through the backend, in the order in which the server would write it."""

from __future__ import annotations

import random

from s3sftp.backends.contract import FileInfo, Finish, WriteIntent
from s3sftp.backends.s3 import S3Backend
from s3sftp.backends.s3.write.uploads import S3Upload
from tests.backends.s3.conftest import ALICE, place


def data_of(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


async def begin(backend: S3Backend, path: str, **intent: object) -> S3Upload:
    upload = await backend.begin_write(place(path), WriteIntent(**intent), ALICE)  # type: ignore[arg-type]
    assert isinstance(upload, S3Upload)
    return upload


async def send(
    backend: S3Backend, upload: S3Upload, data: bytes, *, size: int | None = None, mtime: float | None = None
) -> FileInfo:
    """All of a file: chunks one after the other, the rest at the end."""
    position = 0
    while len(data) - position > upload.chunk_bytes:
        chunk = data[position : position + upload.chunk_bytes]
        await backend.write_chunk(upload, chunk, ALICE)
        position += len(chunk)
    finish = Finish(len(data) if size is None else size, mtime)
    return await backend.finish_write(upload, data[position:], finish, ALICE)


async def put(
    backend: S3Backend, path: str, data: bytes, *, mtime: float | None = None, **intent: object
) -> FileInfo:
    """Write a file as the server does: finish, or abort when that fails."""
    upload = await begin(backend, path, **intent)
    try:
        return await send(backend, upload, data, mtime=mtime)
    except BaseException:
        await backend.abort_write(upload, ALICE)
        raise


async def get(backend: S3Backend, path: str, start: int, stop: int, version: str | None = None) -> bytes:
    return b"".join(
        [bytes(piece) async for piece in backend.read_file_range(place(path), start, stop, version, ALICE)]
    )


async def names(backend: S3Backend, path: str) -> list[bytes]:
    return [entry.name async for page in backend.list_dir(place(path), ALICE) for entry in page]
