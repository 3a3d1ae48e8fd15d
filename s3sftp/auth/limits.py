"""How much a user may do at once and in a second, whatever the rights. Pure.

[users.acme.limits]       ◄ counts first
[groups.partners.limits]
[limits]                  ◄ the server's, for users of all sources
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

from pydantic import AfterValidator, Field

from s3sftp.config import ByteSize, Options

MIN_RATE_BYTES = 16 << 10
"""The smallest limit of a rate, in bytes per second: below it, one WRITE would hold up a session for longer
than clients wait for an answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one user. None: what the server's configuration says; 0: there is no limit."""

    max_sessions: int | None = None
    """SFTP sessions that are open at once, over all connections and workers."""
    upload_bytes_per_second: int | None = None
    """What all sessions of the user together may send."""
    download_bytes_per_second: int | None = None
    """What all sessions of the user together may receive."""
    requests_per_second: int | None = None
    """Requests of all sessions of the user together, READs and WRITEs excluded."""
    max_handles: int | None = None
    """Files and directories that are open at once, over all sessions and workers."""

    def over(self, others: Limits) -> Limits:
        """These limits, with those of `others` where these are None."""
        if self == NO_LIMITS:
            return others
        pairs = ((getattr(self, each.name), getattr(others, each.name)) for each in fields(self))
        return Limits(*(theirs if mine is None else mine for mine, theirs in pairs))


NO_LIMITS = Limits()


def _possible_rate(rate: int | None) -> int | None:
    if rate is not None and 0 < rate < MIN_RATE_BYTES:
        raise ValueError("should be 0, for no limit, or at least 16 KiB in a second")
    return rate


_Rate = Annotated[ByteSize, Field(ge=0), AfterValidator(_possible_rate)]


class LimitOptions(Options):
    """`[limits]`: limits of each user who has none in the user's own table or a group, `limits`. 0 lifts a
    limit. See limits.md."""

    max_sessions: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Maximum number of SFTP sessions that a user may have open at once, over all connections and workers.
    Further ones are refused. Default: no limit but those of `[ssh]`."""
    max_handles: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Maximum number of files and directories that a user may have open at once, over all sessions and
    workers. Further ones are refused. Default: no limit but `sftp.max_handles`, of each session."""
    upload_bytes_per_second: _Rate | None = None
    """How many bytes a user may upload in a second, over all sessions and workers, such as `"10 MiB"`. Faster
    clients are slowed down; nothing is refused. At least 16 KiB. Default: no limit."""
    download_bytes_per_second: _Rate | None = None
    """The same for downloads."""
    requests_per_second: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """How many requests a user may send in a second, over all sessions and workers; READs and WRITEs do not
    count. Faster clients are slowed down; nothing is refused. Default: no limit."""

    @property
    def limits(self) -> Limits:
        """The same as a value."""
        if self is NO_LIMIT_OPTIONS:
            return NO_LIMITS
        limits = Limits(**{name: getattr(self, name) for name in type(self).model_fields})
        return NO_LIMITS if limits == NO_LIMITS else limits


NO_LIMIT_OPTIONS = LimitOptions()
"""One for all tables without limits, because there may be many."""
