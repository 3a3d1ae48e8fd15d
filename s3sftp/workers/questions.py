"""Questions of the supervisor to one worker, each with one answer. Both travel in in-memory files, because
they may be longer than a message.

    ask ─► AskWorker + file ──► worker ──► WorkerAnswered + file ─► the future of `ask`

A worker that does not answer is asked no further questions once a few are open.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from s3sftp.runtime.memory_files import memory_file, read_file
from s3sftp.telemetry import get_logger
from s3sftp.workers import messages
from s3sftp.workers.ipc import Transferable

_log = get_logger("s3sftp.workers")
MAX_OPEN = 16
"""Questions to one worker that may be unanswered."""
MAX_ANSWER_BYTES = 32 << 20
MAX_QUESTION_BYTES = 1 << 20
Send = Callable[[messages.IpcMessage, Transferable | None], None]
AnswerQuestion = Callable[[bytes], Awaitable[bytes]]


class NoAnswer(Exception):
    """The worker has too many open questions, has ended, or its answer was lost."""


class Questions:
    """The supervisor's end, for one worker."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._open: dict[int, asyncio.Future[bytes]] = {}
        self._next = 1

    def ask(self, question: bytes) -> asyncio.Future[bytes]:
        """Ask; the result is the answer.

        Raises NoAnswer: in the future, too, if there will be none.
        """
        if len(self._open) >= MAX_OPEN:
            raise NoAnswer("it has not answered earlier questions")
        number, self._next = self._next, self._next + 1
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        try:
            carried = os.fdopen(memory_file("s3sftp-question", [question]), "rb")
        except OSError as error:
            raise NoAnswer(str(error)) from error
        self._open[number] = answer
        self._send(messages.AskWorker(number), carried)
        return answer

    def answered(self, number: int, descriptor: int | None) -> None:
        """Take an answer, and close its file. It is dropped if nobody waits for it any more."""
        waiting = self._open.pop(number, None)
        try:
            if waiting is None or waiting.done():
                return
            if descriptor is None:
                waiting.set_exception(NoAnswer("its answer was lost: too many files are open"))
                return
            waiting.set_result(read_file(descriptor, MAX_ANSWER_BYTES))
        except (OSError, ValueError) as error:
            if waiting is not None and not waiting.done():
                waiting.set_exception(NoAnswer(str(error)))
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def end(self) -> None:
        """There will be no answers any more."""
        for waiting in self._open.values():
            if not waiting.done():
                waiting.set_exception(NoAnswer("the worker has ended"))
                waiting.exception()  # nobody may wait for it any more
        self._open.clear()


class QuestionsAnswered:
    """The worker's end: answers one question after the other, in the order of their arrival or not."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._tasks: set[asyncio.Task[None]] = set()
        self.answer: AnswerQuestion | None = None
        """Answers a question; may raise."""

    def take(self, number: int, descriptor: int | None) -> None:
        """Take a question, and close its file."""
        question = b""
        if descriptor is not None:
            try:
                question = read_file(descriptor, MAX_QUESTION_BYTES)
            except (OSError, ValueError):
                question = b""
            finally:
                os.close(descriptor)
        task = asyncio.create_task(self._answer(number, question))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _answer(self, number: int, question: bytes) -> None:
        carried: Transferable | None = None
        try:
            if question and self.answer is not None:
                carried = os.fdopen(memory_file("s3sftp-answer", [await self.answer(question)]), "rb")
        except Exception:
            _log.exception("worker.question_failed")
        self._send(messages.WorkerAnswered(number), carried)
