"""The file that an upload replaces, of which some bytes may be kept."""

from __future__ import annotations

from s3sftp.backends import CompleteBackend, FileInfo, Place, Session
from s3sftp.errors import Changed, IsADirectory, NotFound, StorageFailure


class BaseFile:
    """Asked for at most once, and only if it matters: for most uploads it does not."""

    def __init__(
        self, backend: CompleteBackend, place: Place, session: Session, info: FileInfo | None
    ) -> None:
        """`info` is the file when it is known already."""
        self.info = info
        self.kept = False
        """Whether bytes of it are part of the new file."""
        self._backend = backend
        self._place = place
        self._session = session

    async def find(self) -> FileInfo | None:
        """The file as it is now; None when there is none. Raises IsADirectory."""
        try:
            self.info = await self._backend.file_info(self._place, self._session)
        except NotFound:
            self.info = None
        if self.info is not None and self.info.is_dir:
            raise IsADirectory
        return self.info

    async def size_now(self) -> int:
        """Its size, without taking note of it; 0 when there is none."""
        try:
            info = self.info or await self._backend.file_info(self._place, self._session)
        except NotFound:
            return 0
        return info.size

    async def moved(self, place: Place) -> BaseFile:
        """The same file under the name to which it has been moved. Raises Changed if it is not the same."""
        there = BaseFile(self._backend, place, self._session, None)
        found, known = await there.find(), self.info
        same_size = (found.size if found else 0) == (known.size if known else 0)
        same_version = found is not None and known is not None and found.version == known.version
        if not same_size or (self.kept and not same_version):
            raise Changed
        there.kept = self.kept
        return there

    async def read(self, start: int, stop: int) -> bytes:
        """Bytes of the version that was found. Raises Changed, NotFound."""
        if self.info is None:
            raise StorageFailure("an old file is needed and there is none")
        return await read_bytes(self._backend, self._place, self.info, start, stop, self._session)


async def read_bytes(
    backend: CompleteBackend, place: Place, info: FileInfo, start: int, stop: int, session: Session
) -> bytes:
    """The bytes `[start, stop)` of one version of a file, at once."""
    pieces = backend.read_file_range(place, start, stop, info.version, session)
    return b"".join([bytes(piece) async for piece in pieces])
