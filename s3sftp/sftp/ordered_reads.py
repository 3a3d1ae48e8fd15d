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
from s3sftp.sftp.request_spans import RequestSpans
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

    def __len__(self) -> int:
        """Handles with READs that wait."""
        return len(self._waiting)

    def add(self, scheduled: ScheduledRequest, request: Request) -> None:
        self._waiting.setdefault(_handle_of(request), deque()).append((scheduled, request))

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
            available = limit - limit // 4 if self._running[handle] else limit
            if not taken or taken + turns[0][1].answer_bytes <= available:
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

    scheduled: ScheduledRequest
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
        spans: RequestSpans,
        answered: Callable[[ScheduledRequest, Request, Answer | None], None],
        on_progress: Callable[[], None],
    ) -> None:
        """`answered` is called once for each READ, with None if it is given up. `on_progress` is called after
        READs that had to wait have been answered."""
        self._log = log
        self._spans = spans
        self._answered = answered
        self._on_progress = on_progress
        self._queues: dict[OpenReader, deque[PendingRead]] = {}
        self._moved: dict[OpenReader, None] = {}
        """The files for which bytes have arrived, as an ordered set."""
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        """The session's own context, because bytes arrive in the span and on the costs of another request."""

    def begin(self, scheduled: ScheduledRequest, request: Request, read: ReadRequest) -> None:
        """Begin a READ, and answer it if its bytes are in memory and no earlier READ of the handle waits."""
        pending = PendingRead(scheduled, request, read)
        opened = read.opened
        queue = self._queues.get(opened)
        if queue is not None:
            queue.append(pending)
            pending.answer = self._step(pending, read.begin, first=True)
            return
        answer = self._step(pending, read.answer, first=True)
        if answer is not None:
            self._answered(scheduled, request, answer)
            return
        self._queues[opened] = deque((pending,))
        opened.listen(partial(self._bytes_came, opened))

    def give_up(self) -> None:
        """Drop all pending READs, because the session ends."""
        queues, self._queues = self._queues, {}
        for opened, queue in queues.items():
            opened.listen(None)
            for pending in queue:
                pending.read.forget()
                if pending.steps is not None and pending.answer is None:
                    pending.steps.end()
                self._answered(pending.scheduled, pending.request, None)

    def _bytes_came(self, opened: OpenReader) -> None:
        """Schedule the answers, so that the task that fetches bytes, which calls this, can carry on."""
        if not self._moved:
            self._loop.call_soon(self._serve, context=self._context)
        self._moved[opened] = None

    def _serve(self) -> None:
        moved, self._moved = self._moved, {}
        if sum([self._serve_queue(opened) for opened in moved]):
            self._on_progress()

    def _serve_queue(self, opened: OpenReader) -> int:
        """Answer READs from the front of a queue until one still waits for bytes. Returns their number."""
        queue = self._queues.get(opened, deque())
        count = 0
        while queue:
            pending = queue[0]
            answer = (
                pending.answer if pending.answer is not None else self._step(pending, pending.read.answer)
            )
            if answer is None:
                return count
            queue.popleft()
            if not queue:
                opened.listen(None)
                del self._queues[opened]
            self._answered(pending.scheduled, pending.request, answer)
            count += 1
        return count

    def _step(self, pending: PendingRead, step: Step, *, first: bool = False) -> Answer | None:
        """Run a step of a READ. Every exception becomes the status of this READ and affects no other."""
        request = pending.request
        try:
            if first and (request.is_traced or self._log.logs_reads):
                pending.steps = StepwiseSpan(self._spans.around(request))
            return step() if pending.steps is None else self._logged_step(request, pending.steps, step)
        except StorageError as error:
            return error_packet(request.request_id, error)
        except Exception:  # also of the span or the log: the client always gets an answer
            pending.read.forget()
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
