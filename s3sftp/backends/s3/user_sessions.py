"""A bucket whose requests are signed for the user who causes them, within a session policy.

Whatever the server does for a session, even by mistake, the store refuses what is not in that user's mounts.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from s3sftp.backends.contract import Buffer, CompleteBackend, FileInfo, Grant, Place, Session
from s3sftp.backends.s3.backend import S3Backend
from s3sftp.backends.s3.credentials.user_scope import UserScope, in_scope
from s3sftp.backends.s3.options import S3Options
from s3sftp.backends.s3.session_policy import user_scope
from s3sftp.backends.s3.worker_tables import WorkerTables
from s3sftp.errors import PermissionDenied
from s3sftp.telemetry.metrics import Metrics

C = TypeVar("C", bound=type)
_MOST_POLICIES = 1000
_CALLS = (
    "file_info",
    "recent_info",
    "make_dir",
    "del_dir",
    "delete",
    "rename",
    "copy",
    "set_mtime",
    "set_attributes",
    "size_of_file",
    "total_below",
    "stored_digest",
    "refuse_file",
    "require_version",
    "remove_version",
    "write_mark",
    "read_file",
    "write_file",
    "begin_write",
    "write_chunk",
    "keep_range",
    "finish_write",
    "abort_write",
)
_STREAMS = ("list_dir", "read_file_range")


def _in_sessions_scope(cls: C) -> C:
    """Have each operation send its requests in the scope of its session, the last positional argument."""
    for name in _CALLS:
        setattr(cls, name, _call(getattr(S3Backend, name)))
    for name in _STREAMS:
        setattr(cls, name, _stream(getattr(S3Backend, name)))
    return cls


def _call(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def call(self: UserSessionsBackend, *arguments: Any, **named: Any) -> Any:
        with self.scope_of(arguments[-1]):
            return await method(self, *arguments, **named)

    return call


def _stream(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def stream(self: UserSessionsBackend, *arguments: Any) -> AsyncIterator[Any]:
        return _InScope(self, method(self, *arguments), arguments[-1])

    return stream


@_in_sessions_scope
class UserSessionsBackend(S3Backend):
    """A bucket that is reached with a session of a role for each user."""

    wants_grants = True

    def __init__(
        self,
        options: S3Options,
        state_dir: Path | None = None,
        metrics: Metrics | None = None,
        shared: WorkerTables | None = None,
        *,
        storage: str = "",
    ) -> None:
        """`storage`: the name by which grants mean this storage."""
        super().__init__(options, state_dir, metrics, shared)
        self._storage = storage
        self._scope = lru_cache(_MOST_POLICIES)(self._make_scope)

    def scope_of(self, session: Session) -> AbstractContextManager[None]:
        """The scope of a session's requests. A session without a user is the server's own.

        Raises PermissionDenied: if the session has no grants here.
        """
        if session.grants is None and not session.user:
            return in_scope(None)
        return in_scope(self._scope(session.user, session.grants or ()))

    def _make_scope(self, user: str, grants: tuple[Grant, ...]) -> UserScope:
        here = [grant for grant in grants if grant.place.storage == self._storage]
        if not here:
            raise PermissionDenied(detail=f"no mount of {user} is in this storage")
        return user_scope(user, here, self.options, self._keys)

    async def open_file(
        self, place: Place, stop: int, session: Session
    ) -> tuple[FileInfo, AsyncIterator[Buffer] | None]:
        with self.scope_of(session):
            info, beginning = await super().open_file(place, stop, session)
        return info, None if beginning is None else _InScope(self, beginning, session)

    def copies_from(self, other: CompleteBackend) -> bool:
        """No: a session policy is about one bucket."""
        return False


class _InScope:
    """The items of an iterator, each awaited in the scope of a session. It is no generator, because one that
    is closed before it has started would not close the iterator."""

    def __init__(self, backend: UserSessionsBackend, items: Any, session: Session) -> None:
        self._backend = backend
        self._items = items
        self._session = session

    def __aiter__(self) -> _InScope:
        return self

    async def __anext__(self) -> Any:
        with self._backend.scope_of(self._session):
            return await anext(self._items)

    async def aclose(self) -> None:
        with self._backend.scope_of(self._session):
            await self._items.aclose()
