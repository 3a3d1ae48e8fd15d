"""A backend that asks a service: each method makes a message, sends it and checks the answer's shape.

A stub has the optional methods that its service has, no others; `s3sftp.backends.complete` does the rest.
Whoever carries the messages is a `Caller`: a connection to another process, or a mailbox in this one.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import Protocol, TypeVar

from s3sftp.backends.contract import (
    Backend,
    Buffer,
    Entry,
    FileInfo,
    Finish,
    Place,
    Session,
    Upload,
    Usage,
    WriteIntent,
)
from s3sftp.backends.service import messages as ask
from s3sftp.backends.service.callbacks import callback_problem
from s3sftp.backends.service.messages import PIECE_BYTES, Begun, Message, Page
from s3sftp.errors import ConfigurationError, StorageError, StorageFailure
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.service")
_PIECES_AHEAD = 2
"""Pieces of one range that are asked for at once: what may wait in memory although nobody takes it."""
T = TypeVar("T")


class Caller(Protocol):
    """Carries messages to one life of a service. When that ends, every call fails with StorageFailure."""

    async def call(self, message: Message) -> object:
        """Send a message and wait for the answer. The service is told when the caller is cancelled.

        Raises what the service answers with; TimedOut; StorageFailure when it is not there (any more).
        """

    def post(self, message: Message) -> None:
        """Send a message of which no answer is wanted. Never fails and never waits."""


Reach = Callable[[], Awaitable[Caller]]
"""Finds the service as it is now. Raises StorageFailure when it is not there."""


class RemoteUpload(Upload):
    """An upload at a service; it does not outlive the connection on which it began."""

    _numbers = itertools.count(1)

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.number = next(self._numbers)
        self._offset = 0

    def begun(self, begun: Begun) -> None:
        self.chunk_bytes = begun.chunk_bytes
        self.min_chunk_bytes = begun.min_chunk_bytes
        self.parallel_chunks = begun.parallel_chunks
        self.keep_unit_bytes = begun.keep_unit_bytes

    def take(self, count: int) -> int:
        """The position of the next so many bytes."""
        offset, self._offset = self._offset, self._offset + count
        return offset

    def taken(self, reply: object) -> None:
        """Chunks have another size from now on, perhaps."""
        chunk_bytes = expected_or_none(int, reply)
        if chunk_bytes is not None and chunk_bytes < max(1, self.min_chunk_bytes):
            raise _bad_answer(f"chunks of {chunk_bytes} bytes")
        self.chunk_bytes = chunk_bytes or self.chunk_bytes


class Stub(Backend):
    """What every service has."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    async def start(self) -> None:
        """Nothing to do: whoever carries the messages has a start of its own."""

    async def stop(self) -> None:
        """As `start`."""

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        return expected(FileInfo, await self._call(ask.GetFileInfo(place, session)))

    async def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        caller = await self._reach()
        page = expected(Page, await caller.call(ask.ListDir(place, None, session)))
        cursor: ask.Cursor | None = None
        try:
            while True:
                cursor = page.cursor
                if page.entries:
                    yield page.entries
                if cursor is None:
                    return
                going_on, cursor = ask.ListDir(place, cursor, session), None
                page = expected(Page, await caller.call(going_on))
        finally:
            if cursor is not None:
                caller.post(ask.EndList(cursor, session))

    async def make_dir(self, place: Place, session: Session) -> None:
        await self._call(ask.MakeDir(place, session))

    async def del_dir(self, place: Place, session: Session) -> None:
        await self._call(ask.DelDir(place, session))

    async def delete(self, place: Place, session: Session) -> None:
        await self._call(ask.Delete(place, session))

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        await self._call(ask.Rename(source, target, overwrite, session))

    async def read_file(self, place: Place, session: Session) -> Buffer:
        return expected(bytes, await self._call(ask.ReadFile(place, session)))

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo | None:
        return expected_or_none(FileInfo, await self._call(ask.WriteFile(place, data, session)))

    async def _call(self, message: Message) -> object:
        return await (await self._reach()).call(message)


class _RangedReads(Stub):
    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        caller = await self._reach()
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


async def _piece(caller: Caller, wanted: ask.ReadFileRange) -> bytes:
    data = expected(bytes, await caller.call(wanted))
    if len(data) != wanted.stop - wanted.start:
        raise _bad_answer(f"{len(data)} bytes where {wanted.stop - wanted.start} were asked for")
    return data


class _StreamedWrites(Stub):
    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        caller = await self._reach()
        upload = RemoteUpload(caller)
        try:
            reply = await caller.call(ask.BeginWrite(place, intent, upload.number, session))
            upload.begun(expected(Begun, reply))
        except BaseException:  # it may have begun all the same
            caller.post(ask.AbortWrite(upload.number, session))
            raise
        return upload

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        ours = _ours(upload)
        message = ask.WriteChunk(ours.number, ours.take(len(data)), data, session)
        ours.taken(await ours.caller.call(message))

    async def finish_write(
        self, upload: Upload, tail: Buffer, finish: Finish, session: Session
    ) -> FileInfo | None:
        ours = _ours(upload)
        reply = await ours.caller.call(ask.FinishWrite(ours.number, tail, finish, session))
        return expected_or_none(FileInfo, reply)

    async def abort_write(self, upload: Upload, session: Session) -> None:
        ours = _ours(upload)
        abort = ask.AbortWrite(ours.number, session)
        try:
            await ours.caller.call(abort)
        except StorageError as error:  # of a service that is gone the upload is, too
            _log.debug("upload.abort_unconfirmed", error=str(error), detail=error.detail)
            ours.caller.post(abort)
        except asyncio.CancelledError:
            ours.caller.post(abort)
            raise


class _KeptRanges(_StreamedWrites):
    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        ours = _ours(upload)
        message = ask.KeepRange(ours.number, ours.take(stop - start), start, stop, session)
        ours.taken(await ours.caller.call(message))


class _Copies(Stub):
    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        return expected(FileInfo, await self._call(ask.Copy(source, target, version, session)))


class _Times(Stub):
    async def set_mtime(self, place: Place, mtime: float, session: Session) -> bool:
        return expected(bool, await self._call(ask.SetMtime(place, mtime, session)))


class _Usages(Stub):
    async def usage(self, place: Place, session: Session) -> Usage:
        return expected(Usage, await self._call(ask.GetUsage(place, session)))


_PARTS: dict[str, type[Stub]] = {
    "read_file_range": _RangedReads,
    "keep_range": _KeptRanges,
    "begin_write": _StreamedWrites,
    "copy": _Copies,
    "set_mtime": _Times,
    "usage": _Usages,
}


def stub_for(
    reach: Reach,
    callbacks: Collection[str],
    name: str = "service",
    first_chunk_bytes: int | None = None,
    ready: Callable[[], bool] = lambda: True,
) -> Stub:
    """A backend with the required methods, and with these optional ones. Raises ConfigurationError."""
    if problem := callback_problem(callbacks):
        raise ConfigurationError([f"the service {name}: {problem}"])
    parts = [part for callback, part in _PARTS.items() if callback in callbacks]
    told: dict[str, object] = {"name": name, "ready": property(lambda _: ready())}
    if first_chunk_bytes is not None:
        told["first_chunk_bytes"] = first_chunk_bytes
    made: type[Stub] = type("ServiceStub", (*parts, Stub), told)
    return made(reach)


def expected(kind: type[T], reply: object) -> T:
    """The answer, if it is what the message is answered with. Raises StorageFailure."""
    if not isinstance(reply, kind) or (isinstance(reply, bool) and kind is not bool):
        raise _bad_answer(f"a {type(reply).__name__} where {getattr(kind, '__name__', kind)} was expected")
    return reply


def expected_or_none(kind: type[T], reply: object) -> T | None:
    return None if reply is None else expected(kind, reply)


def _bad_answer(what: str) -> StorageFailure:
    return StorageFailure(detail=f"the service answered with {what}")


def _ours(upload: Upload) -> RemoteUpload:
    if not isinstance(upload, RemoteUpload):
        raise TypeError("the upload is another backend's")
    return upload
