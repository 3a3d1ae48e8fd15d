"""Storages that are right until one thing happens after another: no promise of one operation finds them."""

from __future__ import annotations

from typing import Any

from s3sftp.backends import Buffer, FileInfo, Finish, Place, Session, Upload
from s3sftp.errors import NotFound
from tests.testing.faulty_backends.faulty_backend import FaultyBackend

ANY_SEQUENCE = ("test_any_sequence_of_operations_leaves_what_a_file_system_would",)


class RemembersWhatWasMissingBeforeACopy(FaultyBackend, breaks=ANY_SEQUENCE, hidden=True):
    def __init__(self) -> None:
        super().__init__()
        self._missing: set[bytes] = set()

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        if place.key in self._missing:
            raise NotFound
        try:
            return await super().file_info(place, session)
        except NotFound:
            self._missing.add(place.key)
            raise

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        self._missing.clear()
        return await super().write_file(place, data, session)

    async def make_dir(self, place: Place, session: Session) -> None:
        self._missing.clear()
        await super().make_dir(place, session)

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        self._missing.clear()
        await super().rename(source, target, session, overwrite=overwrite)

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        self._missing.clear()
        return await super().finish_write(upload, tail, finish, session)

    def put(self, *arguments: Any) -> None:
        self._missing.clear()
        super().put(*arguments)
