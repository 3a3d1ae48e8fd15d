"""The life of a READ: it waits for room in the send buffer, then for its bytes, and is answered in order.

    ReadQueue ─► begin ─► bytes are in memory, no earlier READ waits ─► answered, in the same iteration of
       │           │                                                    the event loop
       │           └──► end of the handle's queue ─► bytes arrive ─► answered from the front of the queue
       └ READs whose answers do not fit into the send buffer yet: only the small requests are in memory

OpenSSH's scp truncates a download and reports success if the READs of one file are not answered in the order
in which it sent them (docs/decisions/0010).
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial

from s3sftp.errors import StorageError
from s3sftp.fs import OpenReader
from s3sftp.sftp.codec import Answer
from s3sftp.sftp.request import ReadRequest, Request
from s3sftp.sftp.request_log import RequestLog
from s3sftp.sftp.scheduler import ScheduledRequest
from s3sftp.sftp.status import error_packet
from s3sftp.telemetry import StepwiseSpan

Turn = tuple[ScheduledRequest, Request]


class ReadQueue:
    """The READs that wait for room in the send buffer, served round-robin by handle. Pure.

    A handle with running READs leaves a quarter of the buffer to handles without any, so that a file on a
    slow storage does not block the other files of its session.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, deque[Turn]] = {}
        self._running: Counter[int] = Counter()

    def add(self, ticket: ScheduledRequest, request: Request) -> None:
        self._waiting.setdefault(_handle_of(request), deque()).append((ticket, request))

    def next(self, taken: int, limit: int) -> Turn | None:
        """Remove and return the next READ that fits, of any handle. It counts as running until `ended`.

        `taken` and `limit` are the used and the total bytes of the send buffer.
        """
        handle = self._first_that_fits(taken, limit)
        if handle is None:
            return None
        turns = self._waiting.pop(handle)
        turn = turns.popleft()
        self._running[handle] += 1
        if turns:
            self._waiting[handle] = turns  # to the end of the queue
        return turn

    def has_next(self, taken: int, limit: int) -> bool:
        """Whether a READ waits that fits."""
        return self._first_that_fits(taken, limit) is not None

    def _first_that_fits(self, taken: int, limit: int) -> int | None:
        for handle, turns in self._waiting.items():
            room = limit - limit // 4 if self._running[handle] else limit
            if not taken or taken + turns[0][1].answer_bytes <= room:
                return handle
        return None

    def ended(self, request: Request) -> None:
        """Note that a READ has been answered or given up."""
        handle = _handle_of(request)
        if self._running[handle] > 1:
            self._running[handle] -= 1
        else:
            del self._running[handle]


def _handle_of(request: Request) -> int:
    return request.handle.number if request.handle is not None else 0


@dataclass(eq=False, slots=True)
class PendingRead:
    """A READ in the queue of its handle."""

    ticket: ScheduledRequest
    request: Request
    read: ReadRequest
    steps: StepwiseSpan | None = None
    """Its span and its costs; None if READs are neither traced nor logged."""
    answer: Answer | None = None
    """The error of a READ that could not begin, kept until the READs before it are answered."""


Step = Callable[[], Answer | None]


class OrderedReads:
    """The pending READs of one session."""

    def __init__(
        self,
        log: RequestLog,
        answered: Callable[[ScheduledRequest, Request, Answer | None], None],
        went_on: Callable[[], None],
    ) -> None:
        """`answered` is called once for each READ, with None if it is given up. `went_on` is called after
        READs that had to wait have been answered."""
        self._log = log
        self._answered = answered
        self._went_on = went_on
        self._lines: dict[OpenReader, deque[PendingRead]] = {}
        self._moved: dict[OpenReader, None] = {}
        """The files for which bytes have arrived, as an ordered set."""
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        """The session's own context, because bytes arrive in the span and on the costs of another request."""

    def begin(self, ticket: ScheduledRequest, request: Request, read: ReadRequest) -> None:
        """Begin a READ, and answer it if its bytes are in memory and no earlier READ of the handle waits."""
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
        """Drop all pending READs, because the session ends."""
        lines, self._lines = self._lines, {}
        for opened, line in lines.items():
            opened.listen(None)
            for begun in line:
                begun.read.forget()
                if begun.steps is not None and begun.answer is None:
                    begun.steps.end()
                self._answered(begun.ticket, begun.request, None)

    def _bytes_came(self, opened: OpenReader) -> None:
        """Schedule the answers, so that the task that fetches bytes, which calls this, can carry on."""
        if not self._moved:
            self._loop.call_soon(self._serve, context=self._context)
        self._moved[opened] = None

    def _serve(self) -> None:
        moved, self._moved = self._moved, {}
        if sum([self._serve_line(opened) for opened in moved]):
            self._went_on()

    def _serve_line(self, opened: OpenReader) -> int:
        """Answer READs from the front of a queue until one still waits for bytes. Returns their number."""
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
        """Run a step of a READ. Every exception becomes the status of this READ and affects no other."""
        request = begun.request
        try:
            if first and self._log.logs_reads:
                begun.steps = StepwiseSpan(f"sftp.{request.name}", self._log.attributes(request))
            return step() if begun.steps is None else self._logged_step(request, begun.steps, step)
        except StorageError as error:
            return error_packet(request.request_id, error)
        except Exception:  # also of the span or the log: the client always gets an answer
            begun.read.forget()
            return self._log.answer_to_unexpected(request.request_id, request.name)

    def _logged_step(self, request: Request, steps: StepwiseSpan, step: Step) -> Answer | None:
        """Run a step within the READ's span, charge its costs to it, and log the READ when it ends."""
        try:
            answer = steps.run(step)
        except Exception as error:
            steps.end(error)
            if isinstance(error, StorageError):
                self._log.log(request, steps.costs, error)
            raise
        if answer is not None:
            steps.end()
            self._log.log(request, steps.costs)
        return answer
