"""Dumps what a process waits for: SIGUSR1 writes it to standard error without stopping anything.

The dump has first the stack of every thread, even while one of them blocks the event loop; then every task of
the loop, down to what it awaits, which a thread's stack does not show.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import signal
import stat
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

_KINDS = ("cr", "gi", "ag")
"""Prefixes of the attributes of coroutines, generators and asynchronous generators."""
_opened_again: int | None = None
"""A new descriptor of standard error if that is a pipe, so that writing to it never blocks."""


def install_task_dump() -> None:
    """Make SIGUSR1 write a dump. Must be called on the event loop whose tasks it should show."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _print_tasks)
    faulthandler.register(signal.SIGUSR1, file=_stderr(), all_threads=True, chain=True)


def _stderr() -> int:
    """Standard error for the signal handler that dumps the threads, which must not block on a pipe's reader.

    A pipe that is opened again has flags of its own, which no other process shares.
    """
    global _opened_again
    descriptor = sys.stderr.fileno()
    if _opened_again is None and stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        with contextlib.suppress(OSError):
            _opened_again = os.open(f"/dev/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    return descriptor if _opened_again is None else _opened_again


def _print_tasks() -> None:
    lines = ["tasks:"]
    for task in asyncio.all_tasks():
        lines.append(f"  {task.get_name()}")
        lines += (
            f"    {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
            for frame in _awaited(task.get_coro())
        )
    print("\n".join(lines), file=sys.stderr, flush=True)  # noqa: T201  requested output, not a log event


def _awaited(waiting: Any) -> Iterator[FrameType]:
    """The frames from a task's coroutine down to what it waits for."""
    while waiting is not None:
        kind = next((each for each in _KINDS if hasattr(waiting, f"{each}_frame")), None)
        if kind is None:
            return
        frame = getattr(waiting, f"{kind}_frame")
        if frame is not None:
            yield frame
        waiting = getattr(waiting, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")
