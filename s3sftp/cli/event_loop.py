"""The event loop of a process that serves: it ends without asking for more than the process has."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, which starts one more thread to wait for those of the default executor.

    Under a limit of memory that one cannot start, or dies before it says that it has: then the end of a
    process that has stopped in order is a traceback, or never comes.
    """
    try:
        with asyncio.Runner(loop_factory=_Loop) as runner:
            return runner.run(main)
    finally:
        main.close()  # no effect on one that has run


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        try:
            super().__init__()
        except (OSError, KeyboardInterrupt):  # no descriptor is left, or nobody wants it any more
            self._closed = True  # as far as `__del__` is concerned, which would complain
            raise
        self._threads = ThreadPoolExecutor(thread_name_prefix="asyncio")
        self.set_default_executor(self._threads)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Wait here: nothing else runs on the loop any more."""
        self._threads.shutdown(wait=True)
