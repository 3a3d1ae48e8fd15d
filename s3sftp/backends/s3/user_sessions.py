"""A bucket whose requests are signed for the user who causes them, within a session policy.

Whatever the server does for a session, even by mistake, the store refuses what is not in that user's mounts.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

from s3sftp.backends.borders import grant_at
from s3sftp.backends.contract import Buffer, CompleteBackend, FileInfo, Grant, Place, Session, Upload
from s3sftp.backends.cross_storage import MOVED_TO_OTHER_ROLE, CrossStorage, StoredAt
from s3sftp.backends.mount_role import MountRole, is_allowed_role
from s3sftp.backends.s3.backend import S3Backend
from s3sftp.backends.s3.credentials.user_scope import UserScope, in_scope
from s3sftp.backends.s3.options import S3Options
from s3sftp.backends.s3.session_policy import user_scopes
from s3sftp.backends.s3.worker_tables import WorkerTables
from s3sftp.backends.s3.write.uploads import S3Upload
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
    """Have each operation send its requests in the scope of its session, the last positional argument, at
    the place, or that of the upload, which is the first."""
    for name in _CALLS:
        setattr(cls, name, _call(getattr(S3Backend, name)))
    for name in _STREAMS:
        setattr(cls, name, _stream(getattr(S3Backend, name)))
    return cls


def _call(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def call(self: UserSessionsBackend, *arguments: Any, **named: Any) -> Any:
        with self.scope_of(arguments[-1], _place_of(arguments[0])):
            return await method(self, *arguments, **named)

    return call


def _stream(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def stream(self: UserSessionsBackend, *arguments: Any) -> AsyncIterator[Any]:
        return _InScope(self, method(self, *arguments), arguments[-1], arguments[0])

    return stream


def _place_of(what: Place | Upload) -> Place:
    return what.place if isinstance(what, S3Upload) else cast(Place, what)


@_in_sessions_scope
class UserSessionsBackend(S3Backend):
    """A bucket that is reached with a session of a role for each user, or of the roles of the user's mounts.

    A file that moves from one role to another is read with the one and written with the other, as between
    storages.
    """

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
        super().__init__(options, state_dir, metrics, shared, storage=storage)
        self._storage = storage
        self._scopes = lru_cache(_MOST_POLICIES)(self._make_scopes)
        self._across_roles = CrossStorage(MOVED_TO_OTHER_ROLE)

    def scope_of(self, session: Session, place: Place) -> AbstractContextManager[None]:
        """The scope of a session's requests at a place. A session without a user is the server's own.

        Raises PermissionDenied: if the session has no grants here, or none for a place that could be signed
        for.
        """
        if session.grants is None and not session.user:
            return in_scope(None)
        return in_scope(self._scopes(session.user, session.grants or ()).at(place))

    def _is_across(self, source: Place, target: Place, session: Session) -> bool:
        if session.grants is None and not session.user:
            return False
        scopes = self._scopes(session.user, session.grants or ())
        return scopes.at(source) != scopes.at(target)

    def _make_scopes(self, user: str, grants: tuple[Grant, ...]) -> _UserScopes:
        here = [
            replace(grant, place=Place(grant.place.names))
            for grant in grants
            if grant.place.storage == self._storage
        ]
        if not here:
            raise PermissionDenied(detail=f"no mount of {user} is in this storage")
        for role in filter(None, (grant.role for grant in here)):
            if not is_allowed_role(role.arn, self.options.mount_roles):
                raise PermissionDenied(detail=f"{role.arn}: no role of mount_roles")
        return _UserScopes(user, here, user_scopes(user, here, self.options, self._keys))

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        if self._is_across(source, target, session):
            await self._across_roles.move(
                self._stored(source), self._stored(target), session, overwrite=overwrite
            )
            return
        with self.scope_of(session, source):
            await super().rename(source, target, session, overwrite=overwrite)

    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        if self._is_across(source, target, session):
            return await self._across_roles.copy(
                self._stored(source), self._stored(target), session, version=version
            )
        with self.scope_of(session, source):
            return await super().copy(source, target, session, version=version)

    def _stored(self, place: Place) -> StoredAt:
        return StoredAt(self._storage, self, place)

    async def open_file(
        self, place: Place, stop: int, session: Session
    ) -> tuple[FileInfo, AsyncIterator[Buffer] | None]:
        with self.scope_of(session, place):
            info, beginning = await super().open_file(place, stop, session)
        return info, None if beginning is None else _InScope(self, beginning, session, place)

    def copies_from(self, other: CompleteBackend) -> bool:
        """No: a session policy is about one bucket."""
        return False


class _UserScopes:
    """The scopes of one user in one storage."""

    def __init__(
        self, user: str, grants: Sequence[Grant], by_role: Mapping[MountRole | None, UserScope | None]
    ) -> None:
        self._user = user
        self._grants = grants
        self._by_role = by_role

    def at(self, place: Place) -> UserScope | None:
        """The scope of requests for a place.

        Raises PermissionDenied: if it is in no mount, and no policy of the user keeps such requests out.
        """
        grant = grant_at(self._grants, place)
        if grant is not None:
            return self._by_role[grant.role]
        scope = self._by_role.get(None)
        if scope is None:
            raise PermissionDenied(detail=f"no mount of {self._user} leads there")
        return scope  # the store refuses it


class _InScope:
    """The items of an iterator, each awaited in the scope of a session. It is no generator, because one that
    is closed before it has started would not close the iterator."""

    def __init__(self, backend: UserSessionsBackend, items: Any, session: Session, place: Place) -> None:
        self._backend = backend
        self._items = items
        self._session = session
        self._place = place

    def __aiter__(self) -> _InScope:
        return self

    async def __anext__(self) -> Any:
        with self._backend.scope_of(self._session, self._place):
            return await anext(self._items)

    async def aclose(self) -> None:
        with self._backend.scope_of(self._session, self._place):
            await self._items.aclose()
