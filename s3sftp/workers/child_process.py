"""Waits for child processes that asyncio did not start, and reports their exit status.

SIGCHLD reports that some child has ended. Each known child is then polled by its process id, so children that
other code in this process waits for are left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

_UNKNOWN = 255
"""The exit status if other code has already collected it."""


class ChildProcess:
    """A child process that already runs, until it ends."""

    def __init__(self, pid: int) -> None:
        """Must be called in the main thread, on the event loop that will wait for the child."""
        self.pid = pid
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        _running[pid] = self
        # set each time, because the event loop may differ from that of the previous child
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, _collect)
        self.collect()  # it may have ended before the handler was installed

    @property
    def returncode(self) -> int | None:
        """The exit status; None while the process runs, negative if a signal ended it."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        """Wait until the process has ended; return its exit status."""
        return await asyncio.shield(self._ended)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def collect(self) -> None:
        """Check whether the process has ended."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            self._end(_UNKNOWN)
        else:
            if pid:
                self._end(os.waitstatus_to_exitcode(status))

    def _end(self, code: int) -> None:
        _running.pop(self.pid, None)
        if not self._ended.done():
            self._ended.set_result(code)


_running: dict[int, ChildProcess] = {}


def _collect() -> None:
    for child in list(_running.values()):
        child.collect()
