"""Guards the calls of a backend's methods: translates their errors and validates the types of answers.

OSError           becomes the error of the tree with the same meaning
StorageError      passes
CancelledError    passes if the caller is cancelled; otherwise the call has failed
anything else     passes: the client gets a reference number, and the log the details
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from s3sftp.backends.capabilities import backend_name
from s3sftp.backends.contract import (
    Backend,
    Buffer,
    CompleteBackend,
    Entry,
    FileInfo,
    Finish,
    Place,
    Session,
    Upload,
)
from s3sftp.backends.errno_map import error_from_oserror
from s3sftp.backends.operations import LIFE_CYCLE, OPERATIONS
from s3sftp.backends.validation import CHECKS, InvalidResult
from s3sftp.errors import StorageFailure
from s3sftp.runtime.cancellation import StrayCancellationGuard

P = ParamSpec("P")
T = TypeVar("T")
_CHECK_OF = {each.name: CHECKS[each.answer] for each in (*LIFE_CYCLE.values(), *OPERATIONS.values())}


_cancelled_is_failed = StrayCancellationGuard(
    lambda: StorageFailure(detail="the call was cancelled by something of its own")
)


class _ErrorTranslation:
    """Turns OSErrors into errors of the tree, and a cancellation that is not the caller's into a failure."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            raise error_from_oserror(error) from error
        _cancelled_is_failed.__exit__(kind, error, trace)


_translated = _ErrorTranslation()


class BackendGuard:
    """Calls the methods of one backend. Only methods that it has may be called."""

    def __init__(self, backend: Backend) -> None:
        self.name = backend_name(backend)
        self._theirs: Any = backend  # optional methods have no static type: `examine` has checked them

    async def call(
        self,
        method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
        *arguments: P.args,
        **keywords: P.kwargs,
    ) -> T:
        """Call a method of the contract, such as `Backend.file_info`, with its arguments.

        Raises StorageFailure: if the answer does not have the type that the contract declares.
        Raises any other error: if the backend raises it.
        """
        name = method.__name__
        with _translated:
            answer = await getattr(self._theirs, name)(*arguments, **keywords)
        checked: T = self._checked(name, answer)
        return checked

    async def list_dir(self, place: Place, session: Session) -> AsyncGenerator[Sequence[Entry], None]:
        with _translated:
            async with aclosing(self._iterated("list_dir", place, session)) as pages:
                async for page in pages:
                    yield self._checked("list_dir", page)

    async def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncGenerator[Buffer, None]:
        """As `RangedReads.read_file_range`, but each piece is `bytes`, and their total length is checked."""
        at = start
        arguments = (place, start, stop, version, session)
        with _translated:
            async with aclosing(self._iterated("read_file_range", *arguments)) as pieces:
                async for piece in pieces:
                    data = self._checked("read_file_range", piece)
                    at += len(data)
                    if at > stop:
                        raise self._broken(f"read_file_range yielded more than the bytes {start} to {stop}")
                    yield data if isinstance(data, bytes) else bytes(data)  # the backend may reuse its own
        if at < stop:
            raise self._broken(f"read_file_range ended at {at}, where {stop} was asked for")

    async def read_file(self, place: Place, session: Session) -> Buffer:
        """As `Backend.read_file`; an `mmap` is returned as a view."""
        return await self.call(CompleteBackend.read_file, place, session)

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        """As `Backend.write_file`, but always returns what is stored."""
        stored = await self.call(Backend.write_file, place, data, session)
        return await self.call(Backend.file_info, place, session) if stored is None else stored

    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        """As `Extras.copy`, but always returns what is stored."""
        with _translated:
            stored = await self._theirs.copy(source, target, session, version=version)
        return await self.stored("copy", stored, target, session)

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> object:
        """Returns the backend's answer, which `stored` takes."""
        with _translated:
            return await self._theirs.finish_write(upload, tail, finish, session)

    async def stored(self, method: str, stored: object, place: Place, session: Session) -> FileInfo:
        """The file that is now stored, as a method has returned it; if it returned None, the backend is
        asked."""
        if stored is None:
            return await self.call(Backend.file_info, place, session)
        checked: FileInfo = self._checked(method, stored)
        return checked

    @property
    def first_chunk_bytes(self) -> int:
        size: int = self._theirs.first_chunk_bytes
        return size

    def _checked(self, method: str, answer: object) -> Any:
        try:
            return _CHECK_OF[method](answer)
        except InvalidResult as wrong:
            raise wrong.of(self.name, method) from wrong

    async def _iterated(self, method: str, *arguments: object) -> AsyncGenerator[Any, None]:
        """The items of an async generator, which is closed when the caller stops."""
        items = getattr(self._theirs, method)(*arguments)
        if not hasattr(items, "__aiter__"):
            if hasattr(items, "close"):
                items.close()  # a coroutine that is never awaited would cause a warning
            wrong = InvalidResult(items, "an async iterator")
            raise wrong.of(self.name, method) from wrong
        try:
            async for item in items:
                yield item
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                await close()

    def _broken(self, what: str) -> StorageFailure:
        return StorageFailure(detail=f"backend {self.name}: {what}")
