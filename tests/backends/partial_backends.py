"""Backends that have only some of what another one has, and fail in another manner."""

from __future__ import annotations

import errno
import functools
import inspect
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

from s3sftp.backends import Backend, CompleteBackend
from s3sftp.backends.errno_map import posix_name_of
from s3sftp.errors import StorageError

REQUIRED = (
    *("start", "stop", "file_info", "list_dir", "make_dir", "del_dir", "delete", "rename"),
    *("read_file", "write_file"),
)
STREAMING = ("begin_write", "write_chunk", "finish_write", "abort_write")


def with_only(backend: CompleteBackend, *optional: str, posix: bool = False) -> Backend:
    """The required callbacks and these; with `posix` they raise OSErrors."""
    names = [*REQUIRED, *optional]
    change: Callable[[Any], Any] = _raising_os_errors if posix else _as_it_is
    partial: Any = SimpleNamespace(**{name: change(getattr(backend, name)) for name in names})
    return partial  # type: ignore[no-any-return]


def _as_it_is(value: Any) -> Any:
    return value


def _raising_os_errors(method: Any) -> Any:
    if not callable(method):
        return method
    if not inspect.isasyncgenfunction(method):

        @functools.wraps(method)
        async def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return await method(*args, **kwargs)
            except StorageError as error:
                raise _posix(error) from error

        return call

    @functools.wraps(method)
    async def iterate(*args: Any) -> AsyncIterator[Any]:
        try:
            async for item in method(*args):
                yield item
        except StorageError as error:
            raise _posix(error) from error

    return iterate


def _posix(error: StorageError) -> OSError:
    return OSError(getattr(errno, posix_name_of(error)), "as the operating system says it")
