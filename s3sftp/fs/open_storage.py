"""The storage of the process, or several, from start to stop, and the state that all sessions share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeVar

from s3sftp.backends import Backend, CompleteBackend, Place
from s3sftp.backends.complete import complete
from s3sftp.backends.kept_uploads import KeepLimits, KeepsUploads, KeptUploads
from s3sftp.backends.router import StorageRouter, backend_at
from s3sftp.backends.spool import SpoolQuota
from s3sftp.events import EventHub
from s3sftp.events.announcements import SILENT, Announcer
from s3sftp.fs.budget import ByteBudget
from s3sftp.fs.hashing import FileHasher
from s3sftp.fs.open_writer import OpenWriter
from s3sftp.fs.options import FileOptions
from s3sftp.fs.quota import PlacedQuota, QuotaBackend, QuotaCounters, QuotaLedger
from s3sftp.fs.transfer_book import TransferBook
from s3sftp.fs.write.kept_place import NOTHING_KEPT
from s3sftp.fs.write.open_uploads import OpenUploads
from s3sftp.fs.write.shared_tables import CHANGE_ROWS, UPLOAD_ROWS, ChangedNames, UserCounts
from s3sftp.fs.write.upload_pipeline import WriterResources
from s3sftp.runtime.buffer_pool import BufferPool
from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.telemetry.metrics import Metrics

T = TypeVar("T")

NO_STORAGES: Mapping[str, Backend] = MappingProxyType({})
_MOST_SPARE_BYTES = 64 << 20
"""Maximum memory of stored chunks that is kept for reuse, in addition to the budget, in bytes."""


class OpenStorage:
    """The backend, the byte budget, the table of open uploads, and the tasks that outlive their session."""

    def __init__(
        self,
        backend: Backend,
        options: FileOptions,
        uploads: SharedCounters | None = None,
        events: EventHub | None = None,
        changes: SharedCounters | None = None,
        metrics: Metrics | None = None,
        storages: Mapping[str, Backend] = NO_STORAGES,
        quotas: QuotaCounters | None = None,
        book: TransferBook | None = None,
    ) -> None:
        """Accepts any backend: a spool provides what it lacks. In `uploads` the workers count the open
        uploads of each user, and in `changes` the names that they have changed. `events` receives commits and
        renames. `storages`: further ones, by the names that mounts use. `quotas`: what is stored where there
        are quotas, as everybody who stores there knows it; None: this process alone does.
        `book`: where transfers are noted.

        Raises ConfigurationError: if a backend is invalid, with all its problems.
        """
        quota = SpoolQuota(options.spool_dir, options.spool_bytes)
        self.backend = complete(backend, quota)
        if storages:
            others = {name: complete(each, quota) for name, each in storages.items()}
            self.backend = StorageRouter({"": self.backend, **others})
        self.storages = frozenset({"", *storages})
        """The names that a mount's storage may have."""
        self.events = events or EventHub()
        self.announcer: Announcer = SILENT
        """Tells other systems what users do."""
        self.metrics = metrics or Metrics()
        self.book = book or TransferBook()
        self.options = options
        self.budget = ByteBudget(options.buffer_bytes, options.buffer_wait.total_seconds())
        self.writers: OpenUploads[OpenWriter] = OpenUploads(
            options.max_uploads_per_user,
            UserCounts(uploads or SharedCounters.alone(UPLOAD_ROWS)),
            ChangedNames(changes or SharedCounters.alone(CHANGE_ROWS)),
        )
        self.resources = WriterResources(
            self.backend,
            options,
            self.budget,
            quota,
            BufferPool(min(_MOST_SPARE_BYTES, options.buffer_bytes // 2)),
        )
        self.quotas = QuotaLedger(
            self.backend, recount_seconds=options.quota_recount.total_seconds(), counters=quotas
        )
        self.kept = self._find_kept()
        """What keeps uploads that end without CLOSE, by the name of the storage; empty with
        `files.resume = 0`."""
        self.hashing = FileHasher(self.backend, options.max_check_files, options.check_file_timeout)
        self.ignored: Counter[str] = Counter()
        """How often clients wanted to set an attribute that the storage cannot keep, by its name."""
        self._tasks: set[asyncio.Task[Any]] = set()

    def _find_kept(self) -> Mapping[str, KeptUploads]:
        options = self.options
        if not options.resume:
            return NOTHING_KEPT
        limits = KeepLimits(
            options.resume.total_seconds(),
            options.resume_max_uploads_per_user,
            options.resume_user_bytes,
        )
        backends = {name: backend_at(self.backend, Place((), name)) for name in self.storages}
        return {
            name: backend.kept_uploads(limits)
            for name, backend in backends.items()
            if isinstance(backend, KeepsUploads)
        }

    async def start(self) -> None:
        await self.backend.start()
        for kept in self.kept.values():
            await kept.start()

    async def stop(self) -> None:
        """Wait for tasks that sessions have left behind, then stop the backend."""
        await self.wait_for_adopted()
        await self.quotas.stop()
        for kept in self.kept.values():
            await kept.stop()
        await self.backend.stop()

    def for_quotas(self, quotas: Sequence[PlacedQuota]) -> tuple[CompleteBackend, WriterResources]:
        """What a session with these quotas stores through; the same as for all others if there are none."""
        if not quotas:
            return self.backend, self.resources
        backend = QuotaBackend(self.backend, self.quotas, quotas, self.metrics)
        return backend, replace(self.resources, backend=backend)

    def adopt(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine that must complete even if the session that started it has ended."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def wait_for_adopted(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)
