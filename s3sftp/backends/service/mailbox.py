"""A storage service in a task of the same process: the task receives calls from a mailbox and answers them.

    server     mailbox.backend() ── call ──► Mailbox ── PendingCall ──► a task of the application
                                 ◄──────── reply or fail ───────────────┘

The task belongs to the application. It begins to receive when it likes, and when it has ended every call
fails at once. It may answer calls one after the other or many at a time; `serve` does the latter for any
`Backend` object.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from contextvars import copy_context
from datetime import timedelta

from s3sftp.backends.contract import Backend
from s3sftp.backends.service.dispatcher import Dispatcher
from s3sftp.backends.service.messages import Message
from s3sftp.backends.service.stub import Caller, stub_for
from s3sftp.errors import StorageFailure, TimedOut
from s3sftp.telemetry import current_trace_context


class PendingCall:
    """A message that waits for its one answer. A late or second answer has no effect."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self.context = copy_context()
        """The sender's context: work that runs in it joins the sender's trace."""
        self._answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    @property
    def abandoned(self) -> bool:
        """Whether the caller no longer waits for the answer, because the client is gone or the deadline has
        passed."""
        return self._answer.cancelled()

    @property
    def trace_context(self) -> Mapping[str, str]:
        """As `Session.trace_context`, of the operation that sent the message."""
        return self.context.run(current_trace_context)

    def reply(self, value: object = None) -> None:
        """Answer with the value that belongs to the message: see `s3sftp.backends.service.messages`."""
        if not self._answer.done():
            self._answer.set_result(value)

    def fail(self, error: Exception) -> None:
        """Answer with an error: one of `s3sftp.errors` or an OSError. For any other error the client gets a
        reference number."""
        if not self._answer.done():
            self._answer.set_exception(error)

    def when_abandoned(self, callback: Callable[[], object]) -> None:
        """Have `callback` called when the call is abandoned."""
        self._answer.add_done_callback(lambda answer: callback() if answer.cancelled() else None)

    def abandon(self) -> None:
        self._answer.cancel()

    def unheeded(self) -> None:
        """Mark the answer as retrieved, so that asyncio does not warn about an error that nothing reads."""
        self._answer.add_done_callback(lambda answer: answer.cancelled() or answer.exception())

    async def answered(self) -> object:
        return await self._answer


class Mailbox(Caller):
    """Messages to a task, which receives them by `async for call in mailbox`."""

    def __init__(
        self,
        callbacks: Collection[str] = (),
        *,
        name: str = "mailbox",
        call_timeout: timedelta = timedelta(seconds=30),
        transfer_timeout: timedelta = timedelta(minutes=5),
        max_calls: int = 256,
        first_chunk_bytes: int | None = None,
    ) -> None:
        """`callbacks` are the optional operations that the task answers; `callbacks_of` finds those of a
        backend. `transfer_timeout` applies to messages that `takes_long`, `call_timeout` to the others. At
        most `max_calls` calls are pending; more wait, within their timeout."""
        self.name = name
        self._callbacks = callbacks
        self._first_chunk_bytes = first_chunk_bytes
        self._limits = {False: call_timeout.total_seconds(), True: transfer_timeout.total_seconds()}
        self._calls: asyncio.Queue[PendingCall] = asyncio.Queue()
        self._slots = asyncio.Semaphore(max_calls)
        self._unanswered: set[PendingCall] = set()
        self._receivers: set[asyncio.Task[object]] = set()
        self._gone = False

    @property
    def ready(self) -> bool:
        """Whether a task receives."""
        return bool(self._receivers)

    def backend(self) -> Backend:
        """The backend to give to a server."""
        return stub_for(self._reach, self._callbacks, self.name, self._first_chunk_bytes, lambda: self.ready)

    async def receive(self) -> PendingCall:
        """Return the next call that is not abandoned. The mailbox is without a service when every task that
        has called this has ended."""
        self._note_receiver()
        while (call := await self._calls.get()).abandoned:
            pass
        return call

    def __aiter__(self) -> AsyncGenerator[PendingCall, None]:
        return self.calls()

    async def calls(self) -> AsyncGenerator[PendingCall, None]:
        """Yield pending calls without end."""
        while True:
            yield await self.receive()

    async def call(self, message: Message) -> object:
        """As `Caller.call`. Before a task has begun to receive, a call waits for it."""
        limit = self._limits[message.takes_long]
        try:
            async with asyncio.timeout(limit) as deadline, self._slots:
                return await self._deliver(message)
        except TimeoutError as error:
            if not deadline.expired():  # the service's own TimeoutError: an answer
                raise
            raise TimedOut(detail=f"no answer to {message.operation} within {limit:g} s") from error

    def post(self, message: Message) -> None:
        if not self._gone:
            call = PendingCall(message)
            call.unheeded()
            self._calls.put_nowait(call)

    async def _deliver(self, message: Message) -> object:
        if self._gone:
            raise _not_there()
        call = PendingCall(message)
        self._unanswered.add(call)
        try:
            self._calls.put_nowait(call)
            return await call.answered()
        finally:
            call.abandon()
            self._unanswered.discard(call)

    async def _reach(self) -> Caller:
        return self

    def _note_receiver(self) -> None:
        task = asyncio.current_task()
        if task is None or task in self._receivers:
            return
        self._gone = False
        self._receivers.add(task)
        task.add_done_callback(self._receiver_ended)

    def _receiver_ended(self, task: asyncio.Task[object]) -> None:
        self._receivers.discard(task)
        if self._receivers:
            return
        self._gone = True
        while not self._calls.empty():
            self._calls.get_nowait()
        for call in list(self._unanswered):
            call.fail(_not_there())


def _not_there() -> StorageFailure:
    return StorageFailure("storage service is not there", detail="no task receives its messages")


async def serve(mailbox: Mailbox, backend: Backend, *, at_once: int = 256) -> None:
    """Start the backend, answer the calls of a mailbox, and stop the backend when cancelled.

    Each call is answered in a task of its own, so that none waits for another, with at most `at_once` tasks.
    Work is cancelled when its call is abandoned. At the end every upload is aborted.
    """
    answers, slots = Dispatcher(backend), asyncio.Semaphore(at_once)

    async def answer(call: PendingCall) -> None:
        async with slots:
            try:
                call.reply(await answers.answer(call.message))
            except Exception as error:
                call.fail(error)

    try:
        await backend.start()
        async with asyncio.TaskGroup() as tasks, aclosing(mailbox.calls()) as calls:
            async for call in calls:
                task = tasks.create_task(answer(call), context=call.context)
                call.when_abandoned(task.cancel)
    finally:
        await answers.end()
        await backend.stop()
