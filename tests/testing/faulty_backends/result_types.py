"""Storages that answer in shapes of their own."""

from __future__ import annotations

from dataclasses import replace

from s3sftp.backends import Buffer, FileInfo, Place, Session
from s3sftp.errors import NotFound
from tests.testing.faulty_backends.faulty_backend import FaultyBackend


class NamesNamesInErrors(FaultyBackend, breaks=("test_what_is_refused_is_refused_for_what_is_true",)):
    async def file_info(self, place: Place, session: Session) -> FileInfo:
        if not self._bucket.exists(place):
            raise NotFound(f"no such file: {place.key!r}")
        return await super().file_info(place, session)


class TellsTheTimeInWords(FaultyBackend, breaks=("test_metadata_is_of_the_types_that_are_promised",)):
    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        return replace(await super().write_file(place, data, session), mtime="today")
