"""Sends the chunks of an upload to the storage, several at once, and keeps the first failure.

`ChunkSender` owns its tasks: `drain` waits for them, `stop` cancels and awaits them. Every later call raises
a failure in the background again, so that no WRITE or CLOSE after it can succeed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from s3sftp.backends import Buffer, CompleteBackend, FileInfo, Finish, Place, Session, Upload, WriteIntent
from s3sftp.backends.router import backend_at
from s3sftp.errors import InvalidRequest, StorageFailure
from s3sftp.fs.budget import ByteBudget
from s3sftp.runtime.buffer_pool import BufferPool
from s3sftp.telemetry import in_transfer

_Work = Callable[[Upload], Coroutine[Any, Any, None]]


class ChunkSender:
    """One upload to the backend: begins it, sends its chunks, and finishes or aborts it."""

    def __init__(
        self,
        backend: CompleteBackend,
        place: Place,
        session: Session,
        budget: ByteBudget,
        buffer_pool: BufferPool,
    ) -> None:
        self._backend = backend
        self._sizes = backend_at(backend, place)
        self._place = place
        self._session = session
        self._budget = budget
        self._buffer_pool = buffer_pool
        self._upload: Upload | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._starting: asyncio.Task[None] | None = None
        self.failure: BaseException | None = None
        self.finished = False
        self.has_sent = False
        """Whether a chunk has been sent, which binds the upload to its place."""
        self._stopped = False

    @property
    def stored(self) -> FileInfo | None:
        """The file once the storage has confirmed that it is visible, possibly before `finish` returns."""
        return self._upload.stored if self._upload is not None else None

    @property
    def checksum(self) -> str | None:
        """See `Upload.checksum`."""
        return self._upload.checksum if self._upload is not None else None

    @property
    def version_id(self) -> str | None:
        """See `Upload.version_id`."""
        return self._upload.version_id if self._upload is not None else None

    async def begin(self, intent: WriteIntent) -> Upload:
        """Begin the backend's upload, once, and return it. Its `chunk_bytes` apply to the next chunk."""
        if self._upload is None:
            self._upload = await self._backend.begin_write(self._place, intent, self._session)
        if self._starting is not None:
            await asyncio.sleep(0)  # as in `_start`
        return self._upload

    def leave(self) -> None:
        """Consider the upload as ended, because the storage keeps it as it is."""
        self.finished = True

    @property
    def chunk_bytes(self) -> int:
        """The size of the next chunk in bytes."""
        return self._upload.chunk_bytes if self._upload else self._sizes.first_chunk_bytes

    @property
    def has_slot(self) -> bool:
        """Whether another chunk may be sent now."""
        return self._upload is None or len(self._running) < self._upload.parallel_chunks

    @property
    def can_send(self) -> bool:
        """Whether `send_now` may be called: a slot is free, and earlier chunks have taken their positions."""
        return self._upload is not None and self._starting is None and self.has_slot and self.failure is None

    def send_now(self, chunk: Buffer) -> None:
        """Send a chunk without waiting; only if `can_send`."""
        if self._upload is None:
            raise ValueError("push before begin")
        self._launch(self._writing(chunk), self._upload, chunk)

    async def send(self, chunk: Buffer) -> None:
        """Send a chunk; returns when its task has started. Its bytes go back to the budget when it ends."""
        await self._start(self._writing(chunk), chunk)

    async def keep_range(self, start: int, stop: int) -> None:
        """Keep the range `[start, stop)` of the base, inside the storage."""
        await self._start(lambda u: self._backend.keep_range(u, start, stop, self._session), b"")

    async def drain(self) -> None:
        """Wait until all chunks are stored. Raises the first failure: if one failed."""
        while self._running and self.failure is None:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_EXCEPTION)
        self.raise_failure()

    async def finish(self, tail: Buffer, finish: Finish) -> FileInfo:
        """Wait for all chunks and have the backend finish the write. Raises the failure of a chunk."""
        await self.drain()
        if self._upload is None:
            raise ValueError("finish before begin")
        info = await self._backend.finish_write(self._upload, tail, finish, self._session)
        self.finished = True
        return info

    async def stop(self) -> None:
        """Cancel all tasks and abort the upload. May be called at any time, and more than once."""
        self._stopped = True
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
        if self._upload is not None:
            await self._backend.abort_write(self._upload, self._session)

    def fail(self, error: Exception) -> None:
        """Make all later calls fail with `error`, unless there is a failure already."""
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
        await asyncio.sleep(0)  # lets the task take its position in the file, and its part number, now

    def _writing(self, chunk: Buffer) -> _Work:
        return lambda upload: self._backend.write_chunk(upload, chunk, self._session)

    def _launch(self, work: _Work, upload: Upload, chunk: Buffer) -> None:
        self.has_sent = True
        with in_transfer():
            self._starting = task = asyncio.create_task(self._run(work, upload))
        self._running.add(task)
        task.add_done_callback(partial(self._done, chunk))

    async def _run(self, work: _Work, upload: Upload) -> None:
        self._starting = None  # the work takes its position before it first waits
        await work(upload)

    async def wait_for_slot(self) -> Upload:
        """Wait until another chunk may be sent. Its size may depend on the chunks before it.

        Raises InvalidRequest: if the upload was aborted meanwhile; and the failure of an earlier chunk.
        """
        if self._upload is None:
            raise ValueError("push before begin")
        while not self.has_slot and self.failure is None:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        self.raise_failure()
        if self._stopped:
            raise InvalidRequest("the upload was aborted")
        return self._upload

    def _done(self, chunk: Buffer, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._starting is task:  # cancelled before its first step
            self._starting = None
        self._budget.sent(len(chunk))
        self._buffer_pool.give_back(chunk)
        if not task.cancelled():
            failure = task.exception()  # always retrieved, else asyncio logs that it never was
            self.failure = self.failure or failure
        elif not self._stopped:  # cancelled by the backend: the chunk is lost
            self.failure = self.failure or StorageFailure(detail="a chunk was cancelled by the storage")
