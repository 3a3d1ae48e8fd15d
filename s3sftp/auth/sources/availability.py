"""Tracks whether a source of users answers, and probes one that does not.

up         each login asks the source ── max_failures in a row without an answer ──► suspect
suspect    logins still ask; a task asks for `s3sftp-probe` ── no answer ──► down
                                                            └─ any answer, to a login too ──► up
down       logins are refused without asking; the task asks at intervals ── any answer ──► up

The probe has the last word because a source may fail for one name alone: whoever knows such a name must not
be able to shut out all users.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import TypeVar

from s3sftp.auth.sources.asking import SourceFailed
from s3sftp.auth.sources.circuit import Circuit
from s3sftp.auth.sources.transfer_family import AnswerProblem
from s3sftp.runtime.cancellation import cancel_and_wait
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.auth")
T = TypeVar("T")
PROBE_USER = "s3sftp-probe"
"""The name that a source which is down is asked for. Nobody can log in by this name."""


class Availability:
    """Whether one source is up, as this process sees it."""

    def __init__(
        self,
        max_failures: int,
        probe_interval: float,
        probe: Callable[[], Awaitable[object]],
        changed: Callable[[str | None], None],
    ) -> None:
        """`probe` asks for PROBE_USER, through `noting`: at once when logins have had no answer, then every
        `probe_interval` seconds. `changed` is called with the reason when the source goes down, with None
        when it is up again."""
        self._circuit = Circuit(max_failures)
        self._probe_interval = probe_interval
        self._probe = probe
        self._changed = changed
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_down(self) -> bool:
        """Whether users' logins should be refused without asking."""
        return self._circuit.is_open

    async def noting(self, answer: Awaitable[T]) -> T:
        """Await an answer, and note whether the source is there.

        Raises SourceFailed: if there is no answer.
        Raises AnswerProblem: if the answer cannot be used, which is an answer nevertheless.
        """
        try:
            result = await answer
        except SourceFailed as failed:
            if failed.is_down:
                self._failed()
            else:
                self._answered()
            raise
        except AnswerProblem:
            self._answered()
            raise
        self._answered()
        return result

    async def close(self) -> None:
        """Stop probing."""
        await cancel_and_wait(self._probing)

    def _failed(self) -> None:
        self._circuit.failed()
        if self._circuit.is_suspect and (self._probing is None or self._probing.done()):
            # not in the context of this login, whose connection and trace the probes do not belong to
            self._probing = asyncio.create_task(self._until_up(), context=Context())

    def _answered(self) -> None:
        if self._circuit.answered():
            self._changed(None)

    async def _until_up(self) -> None:
        while True:
            problem = await self._problem()
            if not self._circuit.is_suspect:
                return
            if self._circuit.confirmed():
                self._changed(problem)
            await asyncio.sleep(self._probe_interval)

    async def _problem(self) -> str:
        """Why the probe has no answer; `noting` has noted whether it has one."""
        try:
            await self._probe()
        except (SourceFailed, AnswerProblem) as problem:
            return str(problem)
        except Exception as error:  # nothing else asks a source that is down: the probes must go on
            _log.exception("authenticator.failed", user=PROBE_USER)
            return f"the probe failed: {type(error).__name__}"
        return ""
