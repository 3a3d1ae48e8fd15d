"""Says for whom a request is signed: for one user, within a session policy, or for the server itself.

A user whose mounts have different roles has a scope for each of them.

The scope belongs to the task that sends the request, and tasks that it starts inherit it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from s3sftp.backends.mount_role import MountRole


@dataclass(frozen=True, slots=True)
class UserScope:
    """What a role is assumed with for one user."""

    session_name: str
    """RoleSessionName: contains the user's name, and stands in the store's log of requests."""
    policy: str
    """The session policy, as JSON."""
    role: MountRole | None = None
    """The role of the mounts that the policy is about; None: that of the storage."""


_current: ContextVar[UserScope | None] = ContextVar("s3sftp_user_scope", default=None)


def current_scope() -> UserScope | None:
    """The scope of requests that are sent now; None: those of the server itself."""
    return _current.get()


@contextmanager
def in_scope(scope: UserScope | None) -> Iterator[None]:
    """Sign the requests that are sent inside the block for this scope."""
    token = _current.set(scope)
    try:
        yield
    finally:
        _current.reset(token)
