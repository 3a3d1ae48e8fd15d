"""The threads that wait for the disk, so that the event loop never does, and the border of OSErrors."""

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
    """At most so many calls at once; more wait in a line."""

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(most, "s3sftp-local")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do it in a thread. Raises what it raises, an OSError as the StorageError that it means.

        When cancelled it ends only when the thread has ended, or at once if that had not begun: nobody
        uses a descriptor or a buffer any more afterwards. So work must be short, or cut into pieces.
        """
        return await self._result(self._pool.submit(work, *args, **kwargs), droppable=True)

    async def surely(self, work: Callable[[], T]) -> T:
        """As `run`, and the work is done whatever happens: for what cleans up."""
        return await self._result(self._pool.submit(work), droppable=False)

    async def stop(self) -> None:
        """Wait for what runs, and end the threads."""
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
