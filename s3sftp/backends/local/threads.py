"""Runs blocking disk calls in threads, so that the event loop never waits, and translates their OSErrors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from s3sftp.backends.errno_map import error_from_oserror
from s3sftp.runtime.cancellation import wait_until_done

P = ParamSpec("P")
T = TypeVar("T")


class DiskThreads:
    """A bounded pool of threads for disk calls; more calls wait in a queue."""

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(most, "s3sftp-local")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` in a thread. Raises what it raises; an OSError becomes the StorageError with the same
        meaning.

        If cancelled, a call that has not begun is dropped; otherwise this returns only when the thread has
        finished, so that no descriptor or buffer is used afterwards. Work must therefore be short, or cut
        into pieces.
        """
        return await self._result(self._pool.submit(work, *args, **kwargs), droppable=True)

    async def surely(self, work: Callable[[], T]) -> T:
        """As `run`, but a cancellation does not drop the work. For clean-up."""
        return await self._result(self._pool.submit(work), droppable=False)

    async def stop(self) -> None:
        """Wait for the calls in progress, and end the threads."""
        await asyncio.to_thread(self._pool.shutdown)

    async def _result(self, future: Future[T], *, droppable: bool) -> T:
        waiting = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            if not (droppable and future.cancel()):
                await wait_until_done(waiting)
            raise
        except OSError as error:
            raise error_from_oserror(error) from error
