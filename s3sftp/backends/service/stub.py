"""The server's stub for a service: a backend whose methods send messages and check the types of the answers.

A stub has the optional methods that its service has, and no others; `s3sftp.backends.complete` adds the rest.
A `Caller` carries the messages: a connection to another process, or a mailbox in this one.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import Any, Protocol

from s3sftp.backends.contract import (
    Backend,
    Buffer,
    Entry,
    FileInfo,
    Finish,
    Place,
    Session,
    Upload,
    WriteIntent,
)
from s3sftp.backends.operations import OPERATIONS, names_of
from s3sftp.backends.service import messages as ask
from s3sftp.backends.service.handshake import callback_problem
from s3sftp.backends.service.messages import MESSAGES, PIECE_BYTES, Message, Page, UploadStarted
from s3sftp.errors import ConfigurationError, StorageError, StorageFailure
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.service")
_PIECES_AHEAD = 2
"""Pieces of one range that are requested ahead; they wait in memory if the reader is slow."""


class Caller(Protocol):
    """Carries messages to one connection or task of a service. When that ends, every call fails with
    StorageFailure."""

    async def call(self, message: Message) -> object:
        """Send a message and wait for the answer. If the caller is cancelled, the call is cancelled at the
        service.

        Raises TimedOut: if there is no answer in time.
        Raises StorageFailure: if the service is not there, or goes away.
        Raises any other error: if the service answers with it.
        """

    def post(self, message: Message) -> None:
        """Send a message without an answer. Never fails and never waits."""


Reach = Callable[[], Awaitable[Caller]]
"""Finds the current caller. Raises StorageFailure: if the service is not there."""


class RemoteUpload(Upload):
    """An upload at a service. It does not outlive the connection on which it began."""

    _numbers = itertools.count(1)

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.number = next(self._numbers)
        self._offset = 0

    def begun(self, begun: UploadStarted) -> None:
        self.chunk_bytes = begun.chunk_bytes
        self.min_chunk_bytes = begun.min_chunk_bytes
        self.parallel_chunks = begun.parallel_chunks
        self.keep_unit_bytes = begun.keep_unit_bytes

    def reserve(self, count: int) -> int:
        """Reserve the position of the next `count` bytes."""
        offset, self._offset = self._offset, self._offset + count
        return offset

    def accept(self, reply: object) -> None:
        """Accept the new chunk size, if the reply has one."""
        chunk_bytes: int | None = checked_answer(ask.WriteChunk, reply)
        if chunk_bytes is not None and chunk_bytes < max(1, self.min_chunk_bytes):
            raise _bad_answer(f"chunks of {chunk_bytes} bytes")
        self.chunk_bytes = chunk_bytes or self.chunk_bytes


class ServiceStub:
    """The base of all stubs. `stub_for` adds the operations of its service."""

    def __init__(self, reach: Reach) -> None:
        self.reach = reach

    async def start(self) -> None:
        """Nothing to do: the caller that carries the messages has its own start."""

    async def stop(self) -> None:
        """Nothing to do, as with `start`."""


def stub_for(
    reach: Reach,
    callbacks: Collection[str],
    name: str = "service",
    first_chunk_bytes: int | None = None,
    ready: Callable[[], bool] = lambda: True,
) -> Backend:
    """Make a backend with the required methods and the given optional ones.

    Raises ConfigurationError: if the optional ones do not belong together.
    """
    if problem := callback_problem(callbacks):
        raise ConfigurationError([f"the service {name}: {problem}"])
    members: dict[str, object] = {"name": name, "ready": property(lambda _: ready())}
    if first_chunk_bytes is not None:
        members["first_chunk_bytes"] = first_chunk_bytes
    for operation in (*names_of(Backend), *callbacks):
        members[operation] = vars(Conversations).get(operation) or _question(MESSAGES[operation])
    stub: Any = type("ServiceStub", (ServiceStub,), members)(reach)
    return stub  # type: ignore[no-any-return]


def _question(kind: type[Message]) -> Callable[..., Awaitable[object]]:
    """The method of an operation whose arguments are the fields of its message: sends it and returns the
    answer."""
    operation = OPERATIONS[kind.operation]

    @functools.wraps(operation.method)
    async def ask_for_it(stub: ServiceStub, *arguments: object, **keywords: object) -> object:
        fields = dict(zip(operation.positional, arguments, strict=False)) | keywords
        caller = await stub.reach()
        return checked_answer(kind, await caller.call(kind(**fields)))

    return ask_for_it


class Conversations(ServiceStub):
    """The methods that take more than one message, or a message with other fields than the method's
    arguments."""

    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        caller = await self.reach()
        page: Page = checked_answer(ask.ListDir, await caller.call(ask.ListDir(place, None, session)))
        cursor: ask.Cursor | None = None
        try:
            while True:
                cursor = page.cursor
                if page.entries:
                    yield page.entries
                if cursor is None:
                    return
                going_on, cursor = ask.ListDir(place, cursor, session), None
                page = checked_answer(ask.ListDir, await caller.call(going_on))
        finally:
            if cursor is not None:
                caller.post(ask.EndList(cursor, session))

    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        caller = await self.reach()
        pieces = iter(range(start, stop, PIECE_BYTES))
        coming: deque[asyncio.Task[bytes]] = deque()

        def ask_for_more() -> None:
            for at in itertools.islice(pieces, _PIECES_AHEAD - len(coming)):
                piece = ask.ReadFileRange(place, at, min(stop, at + PIECE_BYTES), version, session)
                coming.append(asyncio.create_task(_piece(caller, piece)))

        try:
            ask_for_more()
            while coming:
                data = await coming[0]
                coming.popleft()
                ask_for_more()
                yield data
        finally:
            for task in coming:
                task.cancel()
            await asyncio.gather(*coming, return_exceptions=True)

    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        caller = await self.reach()
        upload = RemoteUpload(caller)
        try:
            reply = await caller.call(ask.BeginWrite(place, intent, upload.number, session))
            upload.begun(checked_answer(ask.BeginWrite, reply))
        except BaseException:  # the service may have begun it nevertheless
            caller.post(ask.AbortWrite(upload.number, session))
            raise
        return upload

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        ours = _ours(upload)
        message = ask.WriteChunk(ours.number, ours.reserve(len(data)), data, session)
        ours.accept(await ours.caller.call(message))

    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        ours = _ours(upload)
        message = ask.KeepRange(ours.number, ours.reserve(stop - start), start, stop, session)
        ours.accept(await ours.caller.call(message))

    async def finish_write(
        self, upload: Upload, tail: Buffer, finish: Finish, session: Session
    ) -> FileInfo | None:
        ours = _ours(upload)
        reply = await ours.caller.call(ask.FinishWrite(ours.number, tail, finish, session))
        stored: FileInfo | None = checked_answer(ask.FinishWrite, reply)
        return stored

    async def abort_write(self, upload: Upload, session: Session) -> None:
        ours = _ours(upload)
        abort = ask.AbortWrite(ours.number, session)
        try:
            await ours.caller.call(abort)
        except StorageError as error:  # if the service is gone, so is the upload
            _log.debug("upload.abort_unconfirmed", error=str(error), detail=error.detail)
            ours.caller.post(abort)
        except asyncio.CancelledError:
            ours.caller.post(abort)
            raise


async def _piece(caller: Caller, wanted: ask.ReadFileRange) -> bytes:
    data: bytes = checked_answer(ask.ReadFileRange, await caller.call(wanted))
    if len(data) != wanted.stop - wanted.start:
        raise _bad_answer(f"{len(data)} bytes where {wanted.stop - wanted.start} were asked for")
    return data


def checked_answer(message: type[Message], reply: object) -> Any:
    """Return the reply if it has the type of the message's answer, or None if the message has no answer.

    Raises StorageFailure: if it does not have that type.
    """
    kind = message.answer
    if kind is None:
        return None
    if not isinstance(reply, kind) or (isinstance(reply, bool) and kind is not bool):
        raise _bad_answer(f"a {type(reply).__name__} where {getattr(kind, '__name__', kind)} was expected")
    return reply


def _bad_answer(what: str) -> StorageFailure:
    return StorageFailure(detail=f"the service answered with {what}")


def _ours(upload: Upload) -> RemoteUpload:
    if not isinstance(upload, RemoteUpload):
        raise TypeError("the upload is another backend's")
    return upload
