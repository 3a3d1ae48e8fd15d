"""READs that have begun: all run at once, and those of one handle are answered in the order they came.

    begin ─► bytes are here, none waits before it ─► answered, in the same turn of the loop
       └──► the end of its handle's line ─► bytes came ─► the first of the line, while it can be answered

OpenSSH's scp cuts a download off, and says that all is well, where READs of one file were not answered in the
order in which it sent them (docs/decisions/0010).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial

from s3sftp.errors import StorageError
from s3sftp.fs import OpenReader
from s3sftp.sftp.codec import Answer
from s3sftp.sftp.read_request import ReadRequest
from s3sftp.sftp.request import Request
from s3sftp.sftp.request_log import RequestLog
from s3sftp.sftp.scheduler import ScheduledRequest
from s3sftp.sftp.status import error_packet
from s3sftp.telemetry import StepwiseSpan


@dataclass(eq=False, slots=True)
class PendingRead:
    """A READ in its line."""

    ticket: ScheduledRequest
    request: Request
    read: ReadRequest
    steps: StepwiseSpan | None = None
    """Its span and what it costs, while anyone listens."""
    answer: Answer | None = None
    """Here before its turn: it could not even begin."""


Step = Callable[[], Answer | None]


class OrderedReads:
    """The READs of one session that have begun and were not answered."""

    def __init__(
        self,
        log: RequestLog,
        answered: Callable[[ScheduledRequest, Request, Answer | None], None],
        went_on: Callable[[], None],
    ) -> None:
        """`answered` is called once for each READ, without an answer if it is given up; `went_on` after some
        were answered later than they began."""
        self._log = log
        self._answered = answered
        self._went_on = went_on
        self._lines: dict[OpenReader, deque[PendingRead]] = {}
        self._moved: dict[OpenReader, None] = {}
        """For which bytes have come."""
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        """Bytes come within the span, and on the account, of another."""

    def begin(self, ticket: ScheduledRequest, request: Request, read: ReadRequest) -> None:
        """Begin a READ, and answer it if that can be done at once."""
        begun = PendingRead(ticket, request, read)
        opened = read.opened
        line = self._lines.get(opened)
        if line is not None:
            line.append(begun)
            begun.answer = self._step(begun, read.begin, first=True)
            return
        answer = self._step(begun, read.answer, first=True)
        if answer is not None:
            self._answered(ticket, request, answer)
            return
        self._lines[opened] = deque((begun,))
        opened.listen(partial(self._bytes_came, opened))

    def give_up(self) -> None:
        """The session ends: nobody waits for what has begun."""
        lines, self._lines = self._lines, {}
        for opened, line in lines.items():
            opened.listen(None)
            for begun in line:
                begun.read.forget()
                if begun.steps is not None and begun.answer is None:
                    begun.steps.end()
                self._answered(begun.ticket, begun.request, None)

    def _bytes_came(self, opened: OpenReader) -> None:
        """Called from the task that brings bytes, which shall go on bringing them."""
        if not self._moved:
            self._loop.call_soon(self._serve, context=self._context)
        self._moved[opened] = None

    def _serve(self) -> None:
        moved, self._moved = self._moved, {}
        if sum([self._serve_line(opened) for opened in moved]):
            self._went_on()

    def _serve_line(self, opened: OpenReader) -> int:
        """Answer from the front of a line what can be; returns how many."""
        line = self._lines.get(opened, deque())
        count = 0
        while line:
            begun = line[0]
            answer = begun.answer if begun.answer is not None else self._step(begun, begun.read.answer)
            if answer is None:
                return count
            line.popleft()
            if not line:
                opened.listen(None)
                del self._lines[opened]
            self._answered(begun.ticket, begun.request, answer)
            count += 1
        return count

    def _step(self, begun: PendingRead, step: Step, *, first: bool = False) -> Answer | None:
        """Go on with a READ; whatever it raises becomes a status, of it alone."""
        request = begun.request
        try:
            if first and self._log.tells_reads:
                begun.steps = StepwiseSpan(f"sftp.{request.name}", self._log.attributes(request))
            return step() if begun.steps is None else self._told_step(request, begun.steps, step)
        except StorageError as error:
            return error_packet(request.request_id, error)
        except Exception:  # of the span or the log, too: a client is never left without an answer
            begun.read.forget()
            return self._log.answer_to_the_unforeseen(request.request_id, request.name)

    def _told_step(self, request: Request, steps: StepwiseSpan, step: Step) -> Answer | None:
        """The same inside of its span and on its account, with a line in the log at its end."""
        try:
            answer = steps.run(step)
        except Exception as error:
            steps.end(error)
            if isinstance(error, StorageError):
                self._log.tell(request, steps.costs, error)
            raise
        if answer is not None:
            steps.end()
            self._log.tell(request, steps.costs)
        return answer
