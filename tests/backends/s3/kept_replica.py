"""One server of several on a bucket, which keeps uploads that lose their line."""

from __future__ import annotations

from s3sftp.backends.contract import Finish, Session, WriteIntent
from s3sftp.backends.kept_uploads import KeepLimits
from s3sftp.backends.s3 import S3Backend
from s3sftp.backends.s3.kept.kept_uploads import S3KeptUploads
from s3sftp.backends.s3.write.uploads import S3Upload
from tests.backends.s3.conftest import ALICE, PART, place
from tests.backends.s3.upload_driver import data_of

LIMITS = KeepLimits(3600, 3, 10 * PART)
DATA = data_of(3 * PART + 1000)


class Replica:
    """One server on the bucket."""

    def __init__(self, backend: S3Backend, limits: KeepLimits = LIMITS) -> None:
        self.backend = backend
        kept = backend.kept_uploads(limits)
        assert isinstance(kept, S3KeptUploads)
        self.kept = kept

    async def begin(self, path: str = "f", session: Session = ALICE, *, exclusive: bool = False) -> S3Upload:
        upload = await self.backend.begin_write(place(path), WriteIntent(exclusive), session)
        assert isinstance(upload, S3Upload)
        self.kept.watch(upload, session)
        return upload

    async def send(self, upload: S3Upload, count: int, at: int = 0, session: Session = ALICE) -> None:
        """Send `count` parts of `DATA`, from the part `at` on."""
        for number in range(at, at + count):
            await self.backend.write_chunk(upload, DATA[number * PART : (number + 1) * PART], session)

    async def lose(self, parts: int, tail: bytes, path: str = "f", session: Session = ALICE) -> int | None:
        """An upload whose line is lost."""
        upload = await self.begin(path, session)
        await self.send(upload, parts, session=session)
        kept = await self.kept.keep(upload, tail, session)
        await self.backend.abort_write(upload, session)
        return kept

    async def size(self, path: str = "f", session: Session = ALICE) -> int | None:
        found = await self.kept.find(place(path), session)
        return None if found is None else found.size

    async def go_on(self, data: bytes = DATA, path: str = "f") -> S3Upload:
        """Continue and finish the upload."""
        upload = await self.begin(path, exclusive=True)
        start = await self.kept.adopt(upload, ALICE, None)
        assert start is not None
        assert start.tail == data[start.stored : start.stored + len(start.tail)]
        at = start.stored
        while len(data) - at > upload.chunk_bytes:
            await self.backend.write_chunk(upload, data[at : at + upload.chunk_bytes], ALICE)
            at += upload.chunk_bytes
        await self.backend.finish_write(upload, data[at:], Finish(len(data)), ALICE)
        return upload
