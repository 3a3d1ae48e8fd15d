"""Starts and stops a storage, once per process, and gives each session its file system."""

from __future__ import annotations

from s3sftp.backends import Session
from s3sftp.fs.filesystem import FileSystem
from s3sftp.fs.mounts import Mounts
from s3sftp.fs.shared_state import SharedState


class OpenStorage(SharedState):
    """One storage of the process, from start to stop."""

    async def start(self) -> None:
        await self.backend.start()

    async def stop(self) -> None:
        """Wait for tasks that sessions have left behind, then stop the backend."""
        await self.wait_for_adopted()
        await self.backend.stop()

    def enter(self, mounts: Mounts, session: Session) -> FileSystem:
        """The file system of one session."""
        return FileSystem(self, mounts, session)
