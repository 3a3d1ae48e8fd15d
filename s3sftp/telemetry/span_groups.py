"""Which spans are kept: those that somebody will look for, and some of the others.

An operation with the requests to S3 below it is a *group*, and so is a transfer. The spans of a group are
kept or dropped together. It is decided which as soon as one of these is true:

    a span has failed                     kept, and so is what follows in the group, and its first span
    a span ends long after the group      kept: it is slow, or a large transfer
    began
    the group's first span ends,          kept while the share lasts, which grows with time; otherwise
    or there are many spans               dropped, as is always a request that no client has caused

What fails or is slow after its group was dropped is kept nevertheless.

Spans above the groups (connections, attempts to log in, sessions) are always kept, so every trace exists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from opentelemetry.trace import SpanKind

_TRANSFERS = frozenset({"sftp.upload", "sftp.download", "sftp.hash"})
_MANY = 64
"""Spans that a group may have and still be ordinary."""
SAVED_SECONDS = 20
"""For how long the share of ordinary spans is saved while it is not used."""


class _Ended(Protocol):
    """What is asked of a span that has ended. Times are in nanoseconds since the epoch."""

    span_id: int
    end_time: int | None

    @property
    def parent(self) -> Any: ...

    @property
    def group(self) -> SpanGroup[Any] | None: ...

    @property
    def is_failure(self) -> bool: ...


S = TypeVar("S", bound=_Ended)


class SpanGroup(Generic[S]):
    """The spans of one operation or transfer, and what was decided about them."""

    is_decided = False
    is_kept = False
    takes = False
    """Whether each span that is kept takes from the share."""

    def __init__(self, root_id: int, began: int, *, has_share: bool) -> None:
        """`root_id`: of its first span, which began at `began`; when that one ends, the group ends.
        `has_share`: some such groups are kept although they are ordinary."""
        self.root_id = root_id
        self.began = began
        self.has_share = has_share
        self.waiting: list[S] = []
        """Spans that have ended before the decision."""


class SpanGroups(Generic[S]):
    """Decides about all groups of a process."""

    def __init__(self, keep: Callable[[S], None], slow_ns: int, ordinary_per_second: int) -> None:
        """`keep` takes a span that is kept. `ordinary_per_second`: how many spans of ordinary groups are kept
        in a second; what a quiet time leaves of them is saved."""
        self._keep = keep
        self._slow_ns = slow_ns
        self._per_nanosecond = ordinary_per_second / 1e9
        self._most = float(SAVED_SECONDS * ordinary_per_second)
        self._left = 0.0
        self._counted_until = 0

    def begun_by(
        self, name: str, kind: SpanKind, span_id: int, began: int, *, is_root: bool
    ) -> SpanGroup[S] | None:
        """The group that a span begins which is in none; None if it is always kept. `is_root`: it is the
        first of its trace."""
        if kind is SpanKind.SERVER or name in _TRANSFERS:
            return SpanGroup(span_id, began, has_share=True)
        if is_root and kind is SpanKind.CLIENT:
            return SpanGroup(span_id, began, has_share=False)
        return None

    def ended(self, span: S) -> None:
        """Keep a span that has ended, drop it, or let it wait for the decision about its group."""
        group = span.group
        if group is None:
            self._keep(span)
            return
        now = span.end_time or 0
        if span.is_failure or now - group.began >= self._slow_ns:
            self._keep_all(group, span)
        elif group.is_decided:
            if group.is_kept:
                self._keep_all(group, span)
        elif span.span_id != group.root_id and len(group.waiting) < _MANY - 1:
            group.waiting.append(span)
        elif group.has_share and self._takes_share(len(group.waiting) + 1, now):
            group.takes = True
            self._keep_all(group, span)
        else:
            group.is_decided = True
            group.waiting.clear()

    def _keep_all(self, group: SpanGroup[S], last: S) -> None:
        if group.is_kept:
            self._left -= group.takes  # paid for later
            self._keep(last)
            return
        was_dropped = group.is_decided
        group.is_decided = group.is_kept = True
        waiting, group.waiting = group.waiting, []
        if was_dropped and (root := _root_above(last, group)) is not None:
            self._keep(root)
        for span in waiting:
            self._keep(span)
        self._keep(last)

    def _takes_share(self, spans: int, now: int) -> bool:
        passed = now - self._counted_until
        self._counted_until = now
        if passed > 0:  # the clock may be set
            self._left = min(self._left + passed * self._per_nanosecond, self._most)
        if self._left <= 0:
            return False
        self._left -= spans  # a group that exceeds what is left is whole, and paid for later
        return True


def _root_above(span: S, group: SpanGroup[S]) -> S | None:
    """The first span of a group, if it has ended before this one of the group, which was begun below it."""
    above: Any = span.parent
    while above is not None and getattr(above, "group", None) is group:
        if above.span_id == group.root_id:
            return above if above.end_time is not None else None
        above = above.parent
    return None
