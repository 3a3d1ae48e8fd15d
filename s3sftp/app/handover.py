"""Hands options and accounts to the workers: when they start, and whenever users change.

    supervisor                       worker
    pack ─► to_file ────────────────► read_file ─► unpack             once, when it starts
    write_account_changes ──────────► AccountUpdates ─► Application   whenever users change

A worker reads no configuration, user or key file itself: it gets what the supervisor has validated, even if
it is started later. The data travels in in-memory files. It contains secrets, so it appears in no command
line, no environment and no file on disk. Changes are sent as the difference from the accounts at start, which
is the same for workers of any age. Accounts are lines of JSON that are read one at a time: parsing them all
at once would block every other thread of the process.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from datetime import date, time, timedelta
from pathlib import Path

from pydantic import SecretStr, ValidationError

from s3sftp.app.options import ServerOptions
from s3sftp.auth import Accounts, account_from_line, account_to_line
from s3sftp.runtime.cancellation import cancel_and_wait
from s3sftp.runtime.memory_files import memory_file, read_file
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.reloading")


def pack(options: ServerOptions, accounts: Accounts) -> bytes:
    """What a worker is given: the options without their users, and the users in the form that logins need."""
    options = options.model_copy(update={"users": {}, "groups": {}})
    return b"".join([dump(options), b"\n", *(account_to_line(*each) for each in accounts.items())])


def to_file(data: bytes) -> int:
    """An in-memory file with this data, for a worker; the caller closes it."""
    return memory_file("s3sftp-options", [data])


def unpack(data: bytes) -> tuple[ServerOptions, Accounts]:
    """The options and the accounts that were packed."""
    first, *lines = data.splitlines()
    return load(first), dict(map(account_from_line, lines))


def dump(options: ServerOptions) -> bytes:
    """The options as JSON, secrets included."""
    return json.dumps(options.model_dump(), default=_plain).encode("ascii")


def load(data: bytes) -> ServerOptions:
    """The dumped options, exactly.

    Raises ValueError: if the data is not complete and valid. Its text contains nothing of the data.
    """
    try:
        return ServerOptions.model_validate(json.loads(data))
    except ValidationError as error:  # its own text quotes what is wrong
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        texts = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problems]
        raise ValueError("; ".join(texts)) from None


def _plain(value: object) -> object:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case Path():
            return str(value)
        case timedelta():
            return value.total_seconds()
        case date() | time():
            return value.isoformat()
    raise TypeError(type(value).__name__)


def write_account_changes(first: Accounts, now: Accounts) -> int:
    """The differences from `first`, the accounts that a worker was started with, to `now`, as an in-memory
    file. The caller closes it."""

    def lines() -> Iterator[bytes]:
        yield json.dumps([name for name in first if name not in now]).encode("ascii") + b"\n"
        for name, account in now.items():
            if first.get(name) != account:
                yield account_to_line(name, account)

    return memory_file("s3sftp-users", lines())


def read_account_changes(descriptor: int, first: Accounts) -> Accounts:
    """The current accounts: `first` with the changes in the file. Closes the file."""
    try:  # reads at explicit offsets, because other workers share the file's position
        removed, *changed = read_file(descriptor).splitlines()
    finally:
        os.close(descriptor)
    accounts = dict(first)
    for name in json.loads(removed):
        del accounts[name]
    accounts.update(map(account_from_line, changed))
    return accounts


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

    def enqueue(self, descriptor: int) -> None:
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
        await cancel_and_wait(self._working)
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
