"""Announces files that partners should have delivered and have not.

    committed, renamed ─► marks ◄─ the other processes of this machine
                            │
    a rule is due ─► seen? ─┴─ no ─► is it stored? ─ no ─► `file.missing`: event, metric, log
                                       └─ the store does not say ─► asked again, nothing is announced

Every process notes what it has seen; one of them decides (`ExpectedMarks.lead`).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from s3sftp.app.expected_marks import ExpectedMarks
from s3sftp.auth import Accounts, Identity
from s3sftp.backends import CompleteBackend, Place, Session
from s3sftp.errors import (
    ConfigurationError,
    InvalidRequest,
    NotADirectory,
    NotFound,
    StorageError,
)
from s3sftp.events import Committed, Renamed
from s3sftp.events.cloud_event import CloudEvent
from s3sftp.events.expect.rules import ExpectedFile, ExpectRule, files_met, missing_event
from s3sftp.fs.paths import VirtualPath
from s3sftp.runtime.cancellation import cancel_and_wait
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.metric_catalogue import FILES_MISSING
from s3sftp.telemetry.metrics import Metrics

_log = get_logger("s3sftp.events")
_LOOK_SECONDS = 30.0
"""The longest pause between two looks at the clock: it may be set, and the machine may sleep."""
_LOOK_BACK = timedelta(hours=1)
"""How long before the first look of all a rule may have been due: a server may have lost its state."""
_LATEST = timedelta(days=3)
"""How long after it was due it is still decided whether a file came."""
_CHECK_SECONDS = 60.0

Announce = Callable[[CloudEvent], Awaitable[object]]


class ExpectedFiles:
    """The rules of one process. Blocking calls run in threads."""

    def __init__(
        self,
        rules: Sequence[ExpectRule],
        accounts: Callable[[], Accounts],
        backend: Callable[[], CompleteBackend | None],
        marks: ExpectedMarks,
        announce: Announce,
        metrics: Metrics,
        source: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`accounts`: the present users; `backend`: the storage, once it has started; `source`: that of the
        events; `clock`: seconds since the epoch."""
        self._rules = list(rules)
        self._accounts = accounts
        self._backend = backend
        self._marks = marks
        self._announce = announce
        self._metrics = metrics
        self._source = source
        self._clock = clock
        self._unchecked: set[ExpectedFile] = set()
        """What could not be decided yet."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="expected-files")

    async def stop(self) -> None:
        await cancel_and_wait(self._task)
        self._marks.close()

    async def committed(self, event: Committed) -> None:
        """A subscriber of commits."""
        await self._see(event.session.user, event.path, event.size)

    async def renamed(self, event: Renamed) -> None:
        """A subscriber of renames: a file often gets its name after its upload. The storage is asked for its
        size if a rule needs it; a file that is not there any more has come."""
        user, size = event.session.user, None
        met = {file.rule for file in files_met(self._rules, user, event.target, None, self._now())}
        if any(rule.min_bytes for rule in self._rules if rule.name in met):
            size = await self._size_of(event)
        await self._see(user, event.target, size)

    async def _size_of(self, event: Renamed) -> int | None:
        """The size of a renamed file; None if the storage does not say."""
        backend = self._backend()
        if backend is not None:
            with suppress(StorageError, TimeoutError):
                async with asyncio.timeout(_CHECK_SECONDS):
                    info = await backend.file_info(event.target_place, event.session)
                return None if info.is_dir else info.size
        return None

    async def look(self) -> None:
        """Decide what is due now. Raises OSError: if the marks cannot be used."""
        backend = self._backend()
        if backend is None or not await asyncio.to_thread(self._marks.lead):
            return
        for rule, file in await asyncio.to_thread(self._undecided):
            await self._decide(rule, file, backend)
        await asyncio.to_thread(self._marks.forget_old)

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except Exception as error:  # a failure of one look must not end all further ones
                _log.error("expectation.failed", exc_info=error)
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        now = self._now()
        nearest = min((rule.next_due(now) for rule in self._rules), default=now + timedelta(days=1))
        return min(max((nearest - now).total_seconds(), 0.0) + 1, _LOOK_SECONDS)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    async def _see(self, user: str, path: str, size: int | None) -> None:
        for file in files_met(self._rules, user, path, size, self._now()):
            try:
                await asyncio.to_thread(self._marks.see, file)
            except OSError as error:  # the storage is asked when it is due
                _log.debug("expectation.unnoted", rule=file.rule, user=file.user, error=str(error))

    def _undecided(self) -> list[tuple[ExpectRule, ExpectedFile]]:
        """What is due and not decided, of users from whom it has been expected since before. Blocks."""
        now = self._now()
        first = now - _LOOK_BACK if self._marks.begin() else now
        expected = [(rule, user) for rule in self._rules for user in self._users_of(rule)]
        self._marks.forget_all_but((rule.name, user) for rule, user in expected)
        found = []
        for rule, user in expected:
            since = max(self._marks.since(rule.name, user, first), now - _LATEST)
            files = [ExpectedFile(rule.name, day, user) for day in rule.due_days(since, now)]
            found += [(rule, file) for file in files if not self._marks.has_told(file)]
        return found

    def _users_of(self, rule: ExpectRule) -> list[str]:
        """The users who have to deliver. One who is not in the configuration is logged later."""
        accounts = self._accounts()
        known = [name for name in accounts if rule.is_of(name)]
        return [name for name in known if not accounts[name].is_disabled] if known else [rule.user]

    async def _decide(self, rule: ExpectRule, file: ExpectedFile, backend: CompleteBackend) -> None:
        """Decide about one file. If that is not possible now, it stays undecided."""
        account = self._accounts().get(file.user)
        try:
            if account is None:
                raise ConfigurationError(["no such user is in the configuration"])
            if not await asyncio.to_thread(self._marks.has_seen, file):
                async with asyncio.timeout(_CHECK_SECONDS):
                    size = await _stored_bytes(rule, file, account.identity, backend)
                if size is None or size < rule.min_bytes:
                    await self._tell_missing(rule, file, size)
        except (StorageError, ConfigurationError, TimeoutError) as error:
            self._tell_unchecked(file, str(error) or "no answer in time")
            if account is not None:
                return
        await asyncio.to_thread(self._marks.tell, file)
        self._unchecked.discard(file)

    def _tell_unchecked(self, file: ExpectedFile, error: str) -> None:
        """Log it once for each file, however often it is tried."""
        if file not in self._unchecked:
            self._unchecked.add(file)
            day = file.day.isoformat()
            _log.warning("expectation.unchecked", rule=file.rule, user=file.user, day=day, error=error)

    async def _tell_missing(self, rule: ExpectRule, file: ExpectedFile, size: int | None) -> None:
        event = missing_event(rule, file, self._source, size, self._clock())
        await self._announce(event)
        self._metrics.add(FILES_MISSING.row())
        _log.warning(
            "file.missing",
            rule=rule.name,
            user=file.user,
            path=event.subject,
            due=event.data["due"],
            reason=event.data["reason"],
        )


async def _stored_bytes(
    rule: ExpectRule, file: ExpectedFile, identity: Identity, backend: CompleteBackend
) -> int | None:
    """The size of the largest file that is stored where it is expected; None: there is none.

    Raises StorageError: if the storage does not say. Raises ConfigurationError: if the user's tree cannot
    be used.
    """
    tree = identity.tree()
    grants = tree.grants() if backend.wants_grants else None
    session = Session(file.user, attributes=identity.attributes, grants=grants)
    text = rule.path.on(file.day)
    try:
        place = tree.place_of_own(VirtualPath.parse(os.fsencode(text)))
    except (NotFound, InvalidRequest):
        return None
    if not rule.path.is_pattern:
        with suppress(NotFound, NotADirectory):
            info = await backend.file_info(place, session)
            if not info.is_dir:
                return info.size
    directory, sizes = text.rpartition("/")[0], []
    async for name, size in _files_in(backend, place.parent, session):
        if rule.path.matches(f"{directory}/{name}", file.day):
            sizes.append(size)
    return max(sizes, default=None)


async def _files_in(
    backend: CompleteBackend, place: Place, session: Session
) -> AsyncIterator[tuple[str, int]]:
    with suppress(NotFound, NotADirectory):
        async for page in backend.list_dir(place, session):
            for entry in page:
                if not entry.info.is_dir:
                    yield os.fsdecode(entry.name), entry.info.size
