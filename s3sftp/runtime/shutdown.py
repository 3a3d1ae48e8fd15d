"""Counts requests to stop the process: the first means finish, the second hurry."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress


class ShutdownRequests:
    """Counts requests to stop."""

    def __init__(self) -> None:
        self._count = 0
        self._is_repeated = False
        """Whether the next signal only repeats what an operator has asked for."""
        self._waiting: set[asyncio.Future[None]] = set()

    def install(self) -> None:
        """Make SIGTERM and SIGINT requests to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)

    def ask_before_signal(self) -> None:
        """Add a request of an operator. The next signal only repeats it: whatever runs the server stops it by
        one, and must not cut off what the operator lets finish."""
        self._is_repeated = True
        self.ask()

    def _signalled(self) -> None:
        if self._is_repeated:
            self._is_repeated = False
        else:
            self.ask()

    def ask(self) -> None:
        """Add a request."""
        self._count += 1
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    @property
    def asked(self) -> bool:
        """Whether a request has come."""
        return self._count > 0

    async def linger(self, seconds: float) -> None:
        """Wait for this time, or until the second request comes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.wait(2)

    async def wait(self, count: int = 1) -> None:
        """Wait until `count` requests have come."""
        while self._count < count:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.add(waiting)
            try:
                await waiting
            finally:
                self._waiting.discard(waiting)
