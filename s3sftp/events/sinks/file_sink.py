"""Appends events to a file, one line of JSON each.

    deliver ─► wait for the attempt before ─► the sink's own thread: lock, append, fsync, unlock ─► accepted
                  └──────── `time_limit` ends the wait, not the thread ────────┘

A file system may hang for ever, so the sink has one thread, and never two attempts at once: behind one that
hangs, all deliveries fail by their time limit, until it ends. Its lines may then be there twice.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue

from s3sftp.events.cloud_event import CloudEvent
from s3sftp.events.sinks.failures import DeliveryFailed
from s3sftp.events.sinks.options import FileSinkOptions
from s3sftp.telemetry.appended_file import AppendedFile, append_whole, ends_whole

_MAX_BATCH = 100


class FileSink:
    """An EventSink. Lines of several processes are never mixed."""

    def __init__(self, name: str, options: FileSinkOptions) -> None:
        self.name = name
        self.max_batch = _MAX_BATCH
        self.concurrency = 1
        self._options = options
        self._limit = options.time_limit.total_seconds()
        self._file = AppendedFile(options.file, lock_seconds=self._limit / 2)
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._attempt: asyncio.Future[None] | None = None
        """The latest attempt; it may still run after its delivery has failed by the time limit."""
        self._thread: threading.Thread | None = None

    async def start(self) -> None:
        if self._thread is None:
            # a daemon, so that a file system that hangs does not keep the process
            self._thread = threading.Thread(target=self._run, name=f"sink-{self.name}", daemon=True)
            self._thread.start()

    async def deliver(self, events: Sequence[CloudEvent]) -> Sequence[Exception | None]:
        data = b"".join(event.to_json() + b"\n" for event in events)
        failure: Exception | None = None
        try:
            async with asyncio.timeout(self._limit):
                while self._attempt is not None and not self._attempt.done():
                    await asyncio.wait([self._attempt])
                self._attempt = self._begin(data)
                await asyncio.shield(self._attempt)
        except TimeoutError:
            failure = DeliveryFailed(f"{self._options.file} was not written within {self._limit:g} s")
        except OSError as error:
            failure = DeliveryFailed(f"cannot write {self._options.file}: {error.strerror or error}")
        return [failure] * len(events)

    async def close(self) -> None:
        """Ends the thread once the present attempt has ended, without waiting for it."""
        self._work.put(None)
        self._thread = None

    def _begin(self, data: bytes) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        attempt: asyncio.Future[None] = loop.create_future()
        # nobody may be left to look at a failure
        attempt.add_done_callback(lambda done: done.cancelled() or done.exception())

        def settle(failure: OSError | None) -> None:
            if attempt.done():
                return
            if failure is None:
                attempt.set_result(None)
            else:
                attempt.set_exception(failure)

        def work() -> None:
            failure: OSError | None = None
            try:
                self._append(data)
            except OSError as error:
                self._file.close()
                failure = error
            with suppress(RuntimeError):  # the loop has been closed: the process ends
                loop.call_soon_threadsafe(settle, failure)

        self._work.put(work)
        return attempt

    # ── in the thread ───────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
        self._file.close()

    def _append(self, data: bytes) -> None:
        with self._file.locked() as descriptor:
            size = os.fstat(descriptor).st_size
            if not ends_whole(descriptor, size):  # the machine stopped while a line was written
                data = b"\n" + data
            append_whole(descriptor, size, data)
            os.fsync(descriptor)
