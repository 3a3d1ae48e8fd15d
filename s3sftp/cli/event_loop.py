"""Runs the event loop of a serving process, and ends it without needing further threads or descriptors."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, but without the extra thread that waits for those of the default executor.

    Under a memory limit that thread may fail to start, or die before it reports that it has; then a process
    that has stopped properly would end with a traceback, or never.
    """
    try:
        with asyncio.Runner(loop_factory=_Loop) as runner:
            return runner.run(main)
    finally:
        main.close()  # has no effect on a coroutine that has run


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        try:
            super().__init__()
        except (OSError, KeyboardInterrupt):  # no descriptor is left, or the operator has interrupted
            self._closed = True  # for `__del__`, which would warn
            raise
        self._threads = ThreadPoolExecutor(thread_name_prefix="asyncio")
        self.set_default_executor(self._threads)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Wait in this thread: nothing else runs on the loop any more."""
        self._threads.shutdown(wait=True)
