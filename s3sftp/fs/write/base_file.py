"""The base of an upload: the file that it replaces and may keep bytes of."""

from __future__ import annotations

from s3sftp.backends import CompleteBackend, FileInfo, Place, Session
from s3sftp.errors import Changed, IsADirectory, NotFound, StorageFailure


class BaseFile:
    """The base of an upload. Asks the storage for it at most once, and only if it matters, which is rare."""

    def __init__(
        self, backend: CompleteBackend, place: Place, session: Session, info: FileInfo | None
    ) -> None:
        """`info` is the stored file if it is known already."""
        self.info = info
        self.kept = False
        """Whether the new file contains bytes of the base."""
        self._backend = backend
        self._place = place
        self._session = session

    async def find(self) -> FileInfo | None:
        """Ask the storage for the base; None if there is none. Raises IsADirectory: if it is a directory."""
        try:
            self.info = await self._backend.file_info(self._place, self._session)
        except NotFound:
            self.info = None
        if self.info is not None and self.info.is_dir:
            raise IsADirectory
        return self.info

    async def size_now(self) -> int:
        """The current size of the base in bytes, 0 if there is none. Does not remember the answer."""
        try:
            info = self.info or await self._backend.file_info(self._place, self._session)
        except NotFound:
            return 0
        return info.size

    async def moved(self, place: Place) -> BaseFile:
        """The base at the place to which it has been moved. Raises Changed: if another file is there."""
        there = BaseFile(self._backend, place, self._session, None)
        found, known = await there.find(), self.info
        same_size = (found.size if found else 0) == (known.size if known else 0)
        same_version = found is not None and known is not None and found.version == known.version
        if not same_size or (self.kept and not same_version):
            raise Changed
        there.kept = self.kept
        return there

    async def read(self, start: int, stop: int) -> bytes:
        """The bytes `[start, stop)` of the version that was found.

        Raises Changed or NotFound: if that version is no longer stored; StorageFailure: if there is no base.
        """
        if self.info is None:
            raise StorageFailure("an old file is needed and there is none")
        return await read_bytes(self._backend, self._place, self.info, start, stop, self._session)


async def read_bytes(
    backend: CompleteBackend, place: Place, info: FileInfo, start: int, stop: int, session: Session
) -> bytes:
    """The bytes `[start, stop)` of one version of a file, in one piece."""
    pieces = backend.read_file_range(place, start, stop, info.version, session)
    return b"".join([bytes(piece) async for piece in pieces])
