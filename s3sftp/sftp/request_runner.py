"""Runs the requests of a session: concurrently, except where the scheduler makes one wait for another."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from s3sftp.backends import Session
from s3sftp.errors import StorageError
from s3sftp.runtime.cancellation import StrayCancellationGuard
from s3sftp.sftp.codec import Answer
from s3sftp.sftp.options import SftpOptions
from s3sftp.sftp.ordered_reads import OrderedReads, ReadQueue
from s3sftp.sftp.request import ReadRequest, Request, TransferRequest
from s3sftp.sftp.request_log import RequestLog
from s3sftp.sftp.request_metrics import RequestMetrics, operation_of
from s3sftp.sftp.request_spans import RequestSpans
from s3sftp.sftp.scheduler import ScheduledRequest, Scheduler
from s3sftp.sftp.send_queue import SendQueue
from s3sftp.sftp.status import error_packet
from s3sftp.telemetry import Costs, charging, note_error

Run = Callable[[], Awaitable[Answer]]
_cancelled_is_failed = StrayCancellationGuard(
    lambda: RuntimeError("the request was cancelled by something of its own")
)


class RequestRunner:
    """Runs the requests of one session and owns their tasks: `stop` cancels and awaits them."""

    def __init__(
        self,
        session: Session,
        options: SftpOptions,
        send_queue: SendQueue,
        answered: RequestMetrics,
        spans: RequestSpans,
        on_progress: Callable[[], None],
        account_of: Callable[[str], Costs],
    ) -> None:
        """`on_progress` is called after a request has ended, when there may be room for another. `account_of`
        has the account of a user's day."""
        self._user = session.user
        self._account_of = account_of
        self._options = options
        self._send_queue = send_queue
        self._answered = answered
        self._clock = asyncio.get_running_loop().time
        self._on_progress = on_progress
        self._schedule = Scheduler()
        self._waiting: dict[ScheduledRequest, Request] = {}
        self._tasks: dict[ScheduledRequest, tuple[Request, asyncio.Task[None]]] = {}
        self._reads = ReadQueue()
        self._log = RequestLog(session)
        self._logs_reads = self._log.logs_reads
        self._spans = spans
        self._traces_transfers = spans.of_transfers
        self._ordered_reads = OrderedReads(self._log, spans, self._read_ended, on_progress)
        self._stopping = False
        self._wanted: set[ScheduledRequest] = set()
        """The requests that continue although the session ends."""
        self._received_bytes = 0
        self._reserved_bytes = 0
        self._others = 0

    def __len__(self) -> int:
        """Requests that have been admitted and have not ended."""
        return len(self._schedule)

    @property
    def has_room(self) -> bool:
        """Whether another request may be admitted.

        READs have a limit of their own, so that those of a slow file do not block requests for other files.
        """
        return (
            self._others < self._options.max_requests_in_flight
            and len(self._schedule) - self._others < self._options.max_reads_waiting
            and self._received_bytes < self._options.receive_buffer_bytes
        )

    def accept(self, request: Request | TransferRequest, packet_bytes: int, came_at: float) -> None:
        """Answer a request at once, or admit it.

        `packet_bytes` is its size; it arrived at `came_at` on the event loop's clock. READs that are logged,
        and READs and WRITEs that have spans of their own, are always queued.
        """
        if isinstance(request, TransferRequest):
            is_traced = self._traces_transfers and self._spans.is_due()
            if not (request.handle.pending or is_traced or (self._logs_reads and request.is_read)):
                answer = self._try_at_once(request, request.answer_at_once)
                if answer is not None:
                    self._answered.count(request.operation, answer, self._clock() - came_at)
                    self._send_queue.put(answer)
                    return
            request = request.queued()
            request.is_traced = is_traced
            if is_traced:
                request.answer_at_once = None
        request.packet_bytes = packet_bytes
        request.came_at = came_at
        self.admit(request)

    def admit(self, request: Request) -> None:
        """Run a request after the earlier ones that its claims conflict with."""
        scheduled = self._schedule.admit(*request.claims)
        self._received_bytes += request.packet_bytes
        self._others += not request.is_read
        if request.handle is not None:
            request.handle.pending += 1
        if scheduled.ready:
            self._start(scheduled, request)
        else:
            self._waiting[scheduled] = request

    @property
    def has_commits(self) -> bool:
        """Whether a CLOSE of an upload has arrived and has not been answered."""
        running = (request for request, _ in self._tasks.values())
        return any(request.commits for request in (*running, *self._waiting.values()))

    async def stop(self, deadline: float) -> None:
        """Cancel all requests except commits and the requests that those wait for.

        An upload whose CLOSE has arrived is complete, so it is committed and answered if that is possible
        before `deadline`, on the event loop's clock. Returns when all tasks have ended.
        """
        self._wanted = self._for_commits()
        self._stopping = True
        self._ordered_reads.give_up()
        for scheduled, (_, task) in self._tasks.items():
            if scheduled not in self._wanted:
                task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                while wanted := [
                    task
                    for scheduled, (_, task) in self._tasks.items()
                    if scheduled in self._wanted and not task.done()
                ]:
                    await asyncio.wait(wanted, return_when=asyncio.FIRST_COMPLETED)
        self._wanted.clear()
        left = [task for _, task in self._tasks.values()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        self._tasks.clear()  # those that were cancelled before their first step
        self._log.end()

    def _for_commits(self) -> set[ScheduledRequest]:
        """The CLOSEs of uploads that have arrived, and all requests that they wait for."""
        live = {scheduled: request for scheduled, (request, _) in self._tasks.items()} | self._waiting
        before: defaultdict[ScheduledRequest, list[ScheduledRequest]] = defaultdict(list)
        for scheduled in live:
            for follower in scheduled.followers:
                before[follower].append(scheduled)
        wanted: set[ScheduledRequest] = set()
        found = [scheduled for scheduled, request in live.items() if request.commits]
        while found:
            scheduled = found.pop()
            if scheduled not in wanted:
                wanted.add(scheduled)
                found += before[scheduled]
        return wanted

    def start_reads(self) -> None:
        """Start waiting READs as long as the send buffer has room for their answers."""
        while self._reads and not self._stopping:
            turn = self._reads.next(self._answer_bytes, self._options.send_buffer_bytes)
            if turn is None:
                return
            self._begin(*turn)

    @property
    def may_start_reads(self) -> bool:
        """Whether a READ waits that fits into the send buffer, after answers have left it."""
        if not self._reads or self._stopping:
            return False
        return self._reads.has_next(self._answer_bytes, self._options.send_buffer_bytes)

    @property
    def _answer_bytes(self) -> int:
        """Bytes of the answers that have not been sent, including those reserved for running requests."""
        return self._reserved_bytes + self._send_queue.unsent_bytes

    def _start(self, scheduled: ScheduledRequest, request: Request) -> None:
        if request.is_read:
            self._reads.add(scheduled, request)
            self.start_reads()
        else:
            self._begin(scheduled, request)

    def _begin(self, scheduled: ScheduledRequest, request: Request) -> None:
        self._reserved_bytes += request.answer_bytes
        if isinstance(request.run, ReadRequest):
            self._ordered_reads.begin(scheduled, request, request.run)
            return
        task = asyncio.create_task(self._run(scheduled, request, request.run))
        self._tasks[scheduled] = (request, task)

    async def _run(self, scheduled: ScheduledRequest, request: Request, run: Run) -> None:
        try:
            try:
                answer = await self._answer(request, run)
            except Exception:  # of the span or the log around it: the client always gets an answer
                answer = self.answer_to_unexpected(request.request_id, request.name)
            self._put(request, answer)
        finally:
            self._tasks.pop(scheduled, None)
            self._leave(scheduled, request)
        self._on_progress()

    def _read_ended(self, scheduled: ScheduledRequest, request: Request, answer: Answer | None) -> None:
        if answer is not None:
            self._put(request, answer)
        self._leave(scheduled, request)

    def _put(self, request: Request, answer: Answer) -> None:
        self._answered.count(operation_of(request.name), answer, self._clock() - request.came_at)
        self._send_queue.put(answer)

    def _leave(self, scheduled: ScheduledRequest, request: Request) -> None:
        """End a request, and start those that waited for it, in the order of their arrival."""
        ready = deque(self._end(scheduled, request))
        while ready:
            following = ready.popleft()
            if self._stopping and following not in self._wanted:
                continue
            waited = self._waiting.pop(following)
            at_once = waited.answer_at_once
            if at_once is not None and (answer := self._try_at_once(waited, at_once)) is not None:
                self._put(waited, answer)
                ready.extend(self._end(following, waited))
            else:
                self._start(following, waited)

    def _end(self, scheduled: ScheduledRequest, request: Request) -> list[ScheduledRequest]:
        """Release what a request has reserved. Returns the scheduled requests that became ready."""
        self._reserved_bytes -= request.answer_bytes
        self._received_bytes -= request.packet_bytes
        self._others -= not request.is_read
        if request.is_read:
            self._reads.ended(request)
        if request.handle is not None:
            request.handle.pending -= 1
        return self._schedule.finish(scheduled)

    def _try_at_once(
        self, request: Request | TransferRequest, at_once: Callable[[], Answer | None]
    ) -> Answer | None:
        """Run a request without a task if it need not wait. Returns the answer, else None."""
        try:
            return at_once()
        except StorageError as error:
            self._log.log(request, Costs(), error)
            return error_packet(request.request_id, error)
        except Exception:
            return self.answer_to_unexpected(request.request_id, request.name)

    async def _answer(self, request: Request, run: Run) -> Answer:
        """Run a request. Every exception becomes a status, except the cancellation of this task."""
        account = Costs(owner=self._account_of(self._user))
        with self._spans.around(request) as current, charging(account) as costs:
            try:
                with _cancelled_is_failed:
                    answer = await run()
            except StorageError as error:
                is_expected = self._log.is_expected(request, error)
                self._spans.failed(current, error, is_expected=is_expected)
                self._log.log(request, costs, error)
                return error_packet(request.request_id, error)
            except Exception as error:
                note_error(current, error)
                return self.answer_to_unexpected(request.request_id, request.name)
            finally:
                current.set_attribute("s3sftp.s3_requests", costs.total())
        self._log.log(request, costs)
        return answer

    def log_refused(self, name: str, path: bytes, error: StorageError) -> None:
        """Log a request that was not admitted, see `RequestLog.log_refused`."""
        self._log.log_refused(name, path, error)
        self._spans.refused(name, path, error)

    def answer_to_unexpected(self, request_id: int, name: str) -> bytes:
        """Log an unexpected exception and return the answer, see `RequestLog.answer_to_unexpected`."""
        return self._log.answer_to_unexpected(request_id, name)
