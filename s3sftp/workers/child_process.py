"""Child processes that this process did not start with asyncio: when they end, and how.

SIGCHLD says that some child has ended. Each is then asked for by its process id: children that others in this
process wait for are left to them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

_UNKNOWN = 255
"""The status where somebody else has collected it."""


class ChildProcess:
    """A child process from now until its end."""

    def __init__(self, pid: int) -> None:
        """Call it on the event loop that waits for it, in the main thread."""
        self.pid = pid
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        _running[pid] = self
        # every time: it may be another event loop than for the last one
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, _collect)
        self.collect()  # it may have ended before anybody was told

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        """Wait for its end; the return code."""
        return await asyncio.shield(self._ended)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def collect(self) -> None:
        """See whether it has ended."""
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
