"""Storages that copy something else than was asked for, or set no times."""

from __future__ import annotations

from s3sftp.backends import FileInfo, Place, Session
from s3sftp.backends.memory.bucket import StoredObject
from tests.testing.faulty_backends.faulty_backend import FaultyBackend


class CopyMoves(FaultyBackend, breaks=("test_a_copy_has_the_content_and_leaves_the_source",)):
    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        info = await super().copy(source, target, session, version=version)
        del self.objects[source.key]
        return info


class CopyNeverReplaces(FaultyBackend, breaks=("test_a_copy_replaces_its_target",)):
    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        if target.key in self.objects:
            return self.objects[target.key].info
        return await super().copy(source, target, session, version=version)


class CopiesAnyVersion(FaultyBackend, breaks=("test_a_copy_of_a_file_that_changed_is_refused",)):
    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        return await super().copy(source, target, session, version=None)


class CopiesADirectoryAsAFile(FaultyBackend, breaks=("test_a_directory_is_not_copied_as_a_file",)):
    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        if not self._bucket.file_info(source).is_dir:
            return await super().copy(source, target, session, version=version)
        self.objects[target.key] = made = StoredObject.of([], 0.0)
        return made.info


class SaysThatItSetTheTime(FaultyBackend, breaks=("test_a_time_that_is_said_to_be_set_is_set",)):
    async def set_mtime(self, place: Place, mtime: float, session: Session) -> bool:
        await super().set_mtime(place, mtime + 5, session)
        return True
