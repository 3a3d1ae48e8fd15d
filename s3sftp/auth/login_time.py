"""The time by which a login is judged: the present, or the one that a dry run asks about.

Everything that depends on the time of a login asks here: login rules, `expiry-time` of keys, the validity of
certificates, verification codes. So a dry run of a login at another time uses the code of real logins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_pretended: ContextVar[datetime | None] = ContextVar("pretended_login_time", default=None)


def login_time() -> datetime:
    """The time of the login, in UTC."""
    return _pretended.get() or datetime.now(UTC)


@contextmanager
def logins_at(time: datetime | None) -> Iterator[None]:
    """Judge the logins of this task by an aware time; None: by the present."""
    token = _pretended.set(time.astimezone(UTC) if time is not None else None)
    try:
        yield
    finally:
        _pretended.reset(token)
