"""Uploads of files that lose their line, on two servers of one bucket."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from s3sftp.backends import Session
from s3sftp.backends.s3 import S3Backend
from s3sftp.errors import NotFound
from s3sftp.fs import FileSystem, OpenWriter, VirtualPath
from s3sftp.fs.mounts import Mounts
from s3sftp.fs.open_storage import OpenStorage
from s3sftp.fs.options import FileOptions
from s3sftp.fs.transfer_record import FailureReason
from s3sftp.fs.write.upload_pipeline import WriteMode
from testbed.s3_store import Store
from tests.backends.s3.conftest import PART, options_for
from tests.support.s3_client import S3

X = VirtualPath.parse(b"/x")
TRUNC, PLAIN, APPEND = WriteMode(truncate=True), WriteMode(), WriteMode(append=True)
EXCL, EXISTING = WriteMode(exclusive=True), WriteMode(create=False)
GOING_ON = {"plain": PLAIN, "append": APPEND, "without create": EXISTING}
"""The ways in which clients open a file to go on with it."""
DATA = random.Random(16).randbytes(2 * PART + 1000)
KEPT = len(DATA) - 1
"""What is kept of `DATA`: a byte less, so that no client takes it for the whole file."""

NewSession = Callable[..., FileSystem]


@asynccontextmanager
async def two_servers(store: Store, bucket: str) -> AsyncIterator[list[OpenStorage]]:
    """Two servers on the bucket, which keep uploads."""
    async with AsyncExitStack() as life:
        opened = []
        for _ in range(2):
            backend = S3Backend(options_for(store, bucket))
            volume = OpenStorage(backend, FileOptions(resume=timedelta(hours=1)))
            life.push_async_callback(volume.stop)
            await volume.start()
            opened.append(volume)
        yield opened


def sessions_on(volumes: list[OpenStorage]) -> NewSession:
    """Opens new sessions, of alice on the first server unless said otherwise."""

    def opened(user: str = "alice", server: int = 0) -> FileSystem:
        return FileSystem(volumes[server], Mounts.of(""), Session(user))

    return opened


async def write(files: FileSystem, data: bytes, mode: WriteMode = TRUNC, at: int = 0) -> OpenWriter:
    """Open the file and write it from an offset on."""
    upload = await files.open_writer(X, mode)
    for start in range(0, len(data), 1 << 20):
        await upload.write(at + start, data[start : start + (1 << 20)])
    return upload


async def lose(files: FileSystem, data: bytes = DATA, mode: WriteMode = TRUNC, at: int = 0) -> None:
    """The same, and then the line is lost."""
    upload = await write(files, data, mode, at)
    await upload.abort(FailureReason.CONNECTION_LOST)


async def size_of(files: FileSystem) -> int | None:
    """What STAT says; None if there is no such file."""
    try:
        return (await files.stat(X)).size
    except NotFound:
        return None


async def nothing_is_left(s3: S3) -> None:
    """Fails if the bucket has anything of an upload that is kept."""
    assert await s3.multipart_uploads() == []
    assert await s3.keys("tenant/.s3sftp/kept/") == []
