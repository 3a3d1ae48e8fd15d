"""One storage, opened once in a process; sessions enter it."""

from __future__ import annotations

from s3sftp.backends import Session
from s3sftp.fs.filesystem import FileSystem
from s3sftp.fs.mounts import Mounts
from s3sftp.fs.shared_state import SharedState


class OpenStorage(SharedState):
    """A storage that is started, entered by sessions, and stopped."""

    async def start(self) -> None:
        await self.backend.start()

    async def stop(self) -> None:
        """Wait for what sessions left to clean up, then stop the backend."""
        await self.wait_for_adopted()
        await self.backend.stop()

    def enter(self, mounts: Mounts, session: Session) -> FileSystem:
        """What one session sees."""
        return FileSystem(self, mounts, session)
