"""Moves chunks into the storage, several at once, and keeps the first failure.

The tasks belong to the pump: `drain` waits for them, `stop` cancels and awaits them. A failure in the
background is raised by the next call, again and again, so that no WRITE or CLOSE after it can succeed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from s3sftp.backends import Buffer, CompleteBackend, FileInfo, Finish, Place, Session, Upload, WriteIntent
from s3sftp.errors import StorageFailure
from s3sftp.fs.budget import ByteBudget
from s3sftp.fs.write.buffer_pool import BufferPool

_Work = Callable[[Upload], Coroutine[Any, Any, None]]


class ChunkSender:
    """One upload on its way."""

    def __init__(
        self, backend: CompleteBackend, place: Place, session: Session, budget: ByteBudget, spares: BufferPool
    ) -> None:
        self._backend = backend
        self._place = place
        self._session = session
        self._budget = budget
        self._spares = spares
        self._upload: Upload | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._starting: asyncio.Task[None] | None = None
        self.failure: BaseException | None = None
        self.finished = False
        self.has_sent = False
        """Whether anything is on its way: it is bound to the place."""
        self._stopped = False

    @property
    def stored(self) -> FileInfo | None:
        """What the storage has confirmed to be published, also while `finish` has still something to do."""
        return self._upload.stored if self._upload is not None else None

    async def begin(self, intent: WriteIntent) -> Upload:
        """The backend's upload, begun at the first call. Its `chunk_bytes` are those of the next chunk."""
        if self._upload is None:
            self._upload = await self._backend.begin_write(self._place, intent, self._session)
        if self._starting is not None:
            await asyncio.sleep(0)  # as in `_start`
        return self._upload

    @property
    def chunk_bytes(self) -> int:
        """Size of the next chunk."""
        return self._upload.chunk_bytes if self._upload else self._backend.first_chunk_bytes

    @property
    def has_room(self) -> bool:
        """Whether a chunk could start now."""
        return self._upload is None or len(self._running) < self._upload.parallel_chunks

    @property
    def can_send(self) -> bool:
        """Whether `send_now` may be called: there is room, and earlier calls have taken their positions."""
        return self._upload is not None and self._starting is None and self.has_room and self.failure is None

    def send_now(self, chunk: Buffer) -> None:
        """`send` without waiting, when `can_send`."""
        if self._upload is None:
            raise ValueError("push before begin")
        self._launch(self._writing(chunk), self._upload, chunk)

    async def send(self, chunk: Buffer) -> None:
        """Send a chunk; returns when its task has started. However it ends, the budget hears of it."""
        await self._start(self._writing(chunk), chunk)

    async def keep(self, start: int, stop: int) -> None:
        """Keep a range of the base."""
        await self._start(lambda u: self._backend.keep_range(u, start, stop, self._session), b"")

    async def drain(self) -> None:
        """Wait until all that was pushed is stored. Raises the first failure."""
        while self._running and self.failure is None:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_EXCEPTION)
        self.raise_failure()

    async def finish(self, tail: Buffer, finish: Finish) -> FileInfo:
        """Publish."""
        await self.drain()
        if self._upload is None:
            raise ValueError("finish before begin")
        info = await self._backend.finish_write(self._upload, tail, finish, self._session)
        self.finished = True
        return info

    async def stop(self) -> None:
        """Cancel what runs and throw the upload away; safe at any time, and twice."""
        self._stopped = True
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
        if self._upload is not None:
            await self._backend.abort_write(self._upload, self._session)

    def fail(self, error: Exception) -> None:
        """Fail from now on, unless it has already."""
        self.failure = self.failure or error

    def raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure

    async def _start(self, work: _Work, chunk: Buffer) -> None:
        try:
            upload = await self.wait_for_slot()
        except BaseException:
            self._budget.sent(len(chunk))
            raise
        self._launch(work, upload, chunk)
        await asyncio.sleep(0)  # lets it take its position in the file, and its part number, now

    def _writing(self, chunk: Buffer) -> _Work:
        return lambda upload: self._backend.write_chunk(upload, chunk, self._session)

    def _launch(self, work: _Work, upload: Upload, chunk: Buffer) -> None:
        self.has_sent = True
        self._starting = task = asyncio.create_task(self._run(work, upload))
        self._running.add(task)
        task.add_done_callback(partial(self._done, chunk))

    async def _run(self, work: _Work, upload: Upload) -> None:
        self._starting = None  # the work takes its position before it first waits
        await work(upload)

    async def wait_for_slot(self) -> Upload:
        """Wait until a chunk could start: how large it must be may depend on those before it."""
        if self._upload is None:
            raise ValueError("push before begin")
        while not self.has_room and self.failure is None:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        self.raise_failure()
        return self._upload

    def _done(self, chunk: Buffer, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._starting is task:  # cancelled before its first step
            self._starting = None
        self._budget.sent(len(chunk))
        self._spares.keep(chunk)
        if not task.cancelled():
            failure = task.exception()  # always looked at, or asyncio complains that nobody did
            self.failure = self.failure or failure
        elif not self._stopped:  # not by us: the chunk is lost all the same
            self.failure = self.failure or StorageFailure(detail="a chunk was cancelled by the storage")
