"""What all sessions of the process share about one storage."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

from s3sftp.backends import Backend
from s3sftp.backends.complete import complete
from s3sftp.backends.spool import SpoolQuota
from s3sftp.events import EventHub
from s3sftp.fs.budget import ByteBudget
from s3sftp.fs.changed_names import ROWS as CHANGE_ROWS
from s3sftp.fs.changed_names import ChangedNames
from s3sftp.fs.hashing import FileHasher
from s3sftp.fs.open_files import OpenWriter
from s3sftp.fs.options import FileOptions
from s3sftp.fs.write.buffer_pool import BufferPool
from s3sftp.fs.write.open_uploads import OpenUploads
from s3sftp.fs.write.upload_pipeline import WriterResources
from s3sftp.fs.write.upload_quota import ROWS as TALLY_ROWS
from s3sftp.fs.write.upload_quota import UploadQuota
from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.telemetry.metrics import Metrics

T = TypeVar("T")

_MOST_SPARE_BYTES = 64 << 20
"""Memory of stored chunks that is kept for the next ones, beside the budget."""


class SharedState:
    """The backend, the byte budget, the table of open uploads, and tasks that outlive their session."""

    def __init__(
        self,
        backend: Backend,
        options: FileOptions,
        uploads: SharedCounters | None = None,
        events: EventHub | None = None,
        changes: SharedCounters | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        """Any backend will do: what it lacks is done with a spool. `uploads` is where workers count together
        what their users are writing, and `changes` what they have stored; `events`, who is told of it;
        `metrics`, where all is counted.

        Raises ConfigurationError with all that is wrong with the backend.
        """
        room = SpoolQuota(options.spool_dir, options.spool_bytes)
        self.backend = complete(backend, room)
        self.events = events or EventHub()
        self.metrics = metrics or Metrics()
        self.options = options
        self.budget = ByteBudget(options.buffer_bytes, options.buffer_wait.total_seconds())
        self.writers: OpenUploads[OpenWriter] = OpenUploads(
            options.max_uploads_per_user,
            UploadQuota(uploads or SharedCounters.alone(TALLY_ROWS)),
            ChangedNames(changes or SharedCounters.alone(CHANGE_ROWS)),
        )
        self.tools = WriterResources(
            self.backend,
            options,
            self.budget,
            room,
            BufferPool(min(_MOST_SPARE_BYTES, options.buffer_bytes // 2)),
        )
        self.hashing = FileHasher(self.backend, options.max_check_files, options.check_file_timeout)
        self.ignored: Counter[str] = Counter()
        """Attributes that clients wanted to set and the storage has no place for, by name."""
        self._tasks: set[asyncio.Task[Any]] = set()

    def adopt(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run something that must end even though the session that began it has gone."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def wait_for_adopted(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)
