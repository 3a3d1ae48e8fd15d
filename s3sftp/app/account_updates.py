"""Applies the changed accounts that the supervisor sends to a running worker."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from s3sftp.app.account_files import read_account_changes
from s3sftp.auth import Accounts
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.reloading")


class AccountUpdates:
    """Applies one file after another, each read in a thread. Of several that wait, only the latest is
    applied."""

    def __init__(
        self, first: Accounts, apply: Callable[[Accounts], Awaitable[None]], failed: Callable[[], None]
    ) -> None:
        """`first`: the accounts that the worker was started with. `failed`: called if a file could not be
        applied."""
        self._first = first
        self._apply = apply
        self._failed = failed
        self._next: int | None = None
        self._working: asyncio.Task[None] | None = None

    def hand_in(self, descriptor: int) -> None:
        """Queue a file that describes how users have changed since the start; it is closed here."""
        self._drop_next()
        self._next = descriptor
        if self._working is None:
            self._working = asyncio.create_task(self._work())

    def when_settled(self, then: Callable[[], None]) -> None:
        """Call `then` when every queued file has been applied: at once if none is pending."""
        if self._working is None:
            then()
        else:
            self._working.add_done_callback(lambda _: then())

    async def stop(self) -> None:
        """Stop applying files."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
        self._drop_next()

    async def _work(self) -> None:
        while self._next is not None:
            descriptor, self._next = self._next, None
            try:
                accounts = await asyncio.to_thread(read_account_changes, descriptor, self._first)
                await self._apply(accounts)
            except Exception:
                _log.exception("users.takeover_failed")
                self._failed()
        self._working = None

    def _drop_next(self) -> None:
        if self._next is not None:
            os.close(self._next)
            self._next = None
