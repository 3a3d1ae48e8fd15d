"""Receives an upload at the service's end: passes its chunks to a backend in the order of the file.

The server may send one chunk at a time, because the size of the next may depend on it. If the backend takes
several at once, a chunk is answered as soon as the backend has begun with it and may take another.
If it fails later, the next message of the upload fails, `FinishWrite` at the latest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from s3sftp.backends.contract import FileInfo, Upload
from s3sftp.backends.service import messages as ask
from s3sftp.backends.service.messages import UploadStarted
from s3sftp.errors import InvalidRequest, StorageError
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.service")


class UploadReceiver:
    """One upload, from `begin` to `finish` or `abort`."""

    def __init__(self, backend: Any, began: ask.BeginWrite) -> None:
        self._backend = backend
        self._session = began.session
        self._offset = 0
        self._running: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._ending = asyncio.Lock()
        self._finished = False
        self._beginning: asyncio.Task[Upload] = asyncio.create_task(
            backend.begin_write(began.place, began.intent, began.session)
        )

    async def begin(self) -> UploadStarted:
        upload = await asyncio.shield(self._beginning)  # only `abort` ends it, and once
        return UploadStarted(upload.chunk_bytes, upload.min_chunk_bytes, 1, upload.keep_unit_bytes)

    async def write(self, chunk: ask.WriteChunk) -> int:
        upload = self._begun()
        # a chunk that is answered early may be a view of memory that is reused after the answer
        data = bytes(chunk.data) if upload.parallel_chunks > 1 else chunk.data
        work = self._backend.write_chunk(upload, data, chunk.session)
        return await self._start_chunk(chunk.offset, len(chunk.data), upload, work)

    async def keep_range(self, kept: ask.KeepRange) -> int:
        upload = self._begun()
        work = self._backend.keep_range(upload, kept.start, kept.stop, kept.session)
        return await self._start_chunk(kept.offset, kept.stop - kept.start, upload, work)

    async def finish(self, message: ask.FinishWrite) -> FileInfo | None:
        upload = self._begun()
        async with self._ending:
            await self._until_fewer_than(1)
            info: FileInfo | None = await self._backend.finish_write(
                upload, message.tail, message.finish, message.session
            )
            self._finished = True
            return info

    async def abort(self) -> None:
        """Discard the upload unless it is already finished. Errors stay in the service."""
        under_way: list[asyncio.Task[Any]] = [self._beginning, *self._running]
        for each in under_way:
            if not each.cancelling():  # only once, so that its own cleanup is not interrupted
                each.cancel()
        await asyncio.wait(under_way)
        if self._beginning.cancelled() or self._beginning.exception() is not None:
            return
        async with self._ending:  # a finish that was given up ends first
            if self._finished:
                return
            try:
                await self._backend.abort_write(self._beginning.result(), self._session)
            except Exception as error:
                _log.error("service.abort_failed", error=str(error), exc_info=error)

    def _begun(self) -> Upload:
        if not self._beginning.done():
            raise InvalidRequest("invalid write", detail="a chunk before the upload has begun")
        return self._beginning.result()

    async def _start_chunk(
        self, offset: int, count: int, upload: Upload, work: Coroutine[Any, Any, None]
    ) -> int:
        """Begin with a chunk, and return the size of the next one."""
        if offset != self._offset or self._failure is not None:
            work.close()
            raise self._failure or InvalidRequest(
                "invalid write", detail=f"a chunk at {offset} where {self._offset} comes next"
            )
        self._offset += count
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._done)
        await asyncio.sleep(0)  # lets it take its position
        await self._until_fewer_than(upload.parallel_chunks)
        return upload.chunk_bytes

    async def _until_fewer_than(self, most: int) -> None:
        while len(self._running) >= most and self._failure is None:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        if self._failure is not None:
            raise self._failure

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        failure = StorageError("cancelled") if task.cancelled() else task.exception()
        self._failure = self._failure or failure
