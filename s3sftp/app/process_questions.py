"""Asks the processes that serve, and waits for their answers for a few seconds at most."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from s3sftp.telemetry import get_logger
from s3sftp.workers import Supervisor
from s3sftp.workers.questions import NoAnswer
from s3sftp.workers.worker_process import WorkerProcess

_log = get_logger("s3sftp.admin")
ANSWER_SECONDS = 3.0
TRIAL_SECONDS = 8.0
"""For what may ask sources of users and the storage."""
Question = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answers:
    """What the processes have answered."""

    given: list[Any] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    """The workers that did not answer in time, by number; 0 is the only process."""


class Processes(Protocol):
    """The processes that serve."""

    async def ask(self, question: Question) -> Answers:
        """Ask all of them."""

    async def ask_one(self, question: Question) -> Answers:
        """Ask any one of them, and wait longer."""

    def set_log_level(self, level: str | None) -> None:
        """Have processes that start later log from this level on; None: as configured."""


class OnlyProcess:
    """This process, which serves itself."""

    def __init__(self, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        self._answer = answer

    async def ask(self, question: Question) -> Answers:
        try:
            async with asyncio.timeout(TRIAL_SECONDS):
                return Answers([json.loads(await self._answer(_packed(question)))])
        except (RuntimeError, TimeoutError):  # it starts
            return Answers(missing=[0])

    async def ask_one(self, question: Question) -> Answers:
        return await self.ask(question)

    def set_log_level(self, level: str | None) -> None:
        """It is told by the question."""


class WorkerProcesses:
    """The workers of a supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def ask(self, question: Question) -> Answers:
        workers = [worker for worker in self._supervisor.workers.values() if worker.ready]
        return await self._ask(workers, question, ANSWER_SECONDS)

    async def ask_one(self, question: Question) -> Answers:
        for worker in self._supervisor.workers.values():
            if worker.can_serve:
                return await self._ask([worker], question, TRIAL_SECONDS)
        return Answers(missing=sorted(self._supervisor.workers))

    def set_log_level(self, level: str | None) -> None:
        asked = _packed({"ask": "log_level", "level": level}) if level is not None else None
        self._supervisor.greeting = asked

    async def _ask(self, workers: list[WorkerProcess], question: Question, seconds: float) -> Answers:
        data = _packed(question)
        asked: dict[int, asyncio.Future[bytes]] = {}
        for worker in workers:
            if not worker.heartbeat.missed:  # it hangs: everybody would wait for it
                with suppress(NoAnswer):
                    asked[worker.number] = worker.questions.ask(data)
        if asked:
            await asyncio.wait(asked.values(), timeout=seconds)
        answers = Answers()
        for worker in workers:
            answer = asked.get(worker.number)
            try:
                if answer is None or not answer.done():
                    raise NoAnswer
                answers.given.append(await asyncio.to_thread(json.loads, answer.result()))
            except (NoAnswer, ValueError, asyncio.CancelledError):
                answers.missing.append(worker.number)
        return answers


def _packed(question: Question) -> bytes:
    return json.dumps(question).encode("ascii")
