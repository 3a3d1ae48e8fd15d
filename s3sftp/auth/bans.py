"""Scores sources by what they do wrong, and bans those that score too high. Pure: no clock, no socket.

    offence ──► points, counted for `window_seconds` ──► `threshold` reached: banned ──► forgiven
                                                           │                              │
                                          each further ban lasts twice as long      after `memory_seconds`

`now` is any monotonic clock, in seconds.
"""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from s3sftp.auth.address_patterns import plain_address
from s3sftp.errors import S3sftpError

_MAX_DOUBLINGS = 60
"""No ban doubles more often: longer than any time that can be configured."""
T = TypeVar("T")


def source_of(address: str) -> str:
    """What counts as one source: an IPv4 address, or the /64 network that an IPv6 customer is given."""
    try:
        plain = plain_address(address)
    except ValueError:
        return address
    if isinstance(plain, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((plain, 64), strict=False))
    return str(plain)


class TooManyBans(S3sftpError):
    """The operator has banned as many sources as can be remembered."""


@dataclass(frozen=True, slots=True)
class BanPolicy:
    """When a source is banned, and for how long. Times are in seconds."""

    threshold: int
    """Points within `window_seconds` that cause a ban; 0: nothing is counted, and nobody is banned for it."""
    window_seconds: float
    first_seconds: float
    """Duration of the first ban of a source."""
    max_seconds: float
    """Maximum duration of later ones. If it is less than `first_seconds`, all last for `first_seconds`."""
    memory_seconds: float
    """How long after the end of a ban the next one counts as a further ban of the same source."""
    other_name_points: int = 0
    """Further points of an offence that concerns another user name than the source's earlier ones."""
    max_sources: int = 10_000

    def ban_seconds(self, number: int) -> float:
        """Duration of the ban of a source that is its `number`th, counted from 1."""
        grown = self.first_seconds * 2.0 ** min(number - 1, _MAX_DOUBLINGS)
        return min(grown, max(self.first_seconds, self.max_seconds))


@dataclass(frozen=True, slots=True)
class Ban:
    """A ban of one source."""

    source: str
    reason: str
    """The kind of offence that most of the points are for."""
    score: int
    """The points that caused it; 0 if the operator did."""
    offences: int
    """The number of offences behind these points."""
    number: int
    """Which ban of this source it is, counted from 1."""
    seconds: float
    until: float
    replica: str = ""
    """The replica that decided it; empty for this server."""

    def remaining(self, now: float) -> float:
        """Seconds until it ends."""
        return self.until - now


class _Offence(NamedTuple):
    at: float
    points: int
    kind: str
    name: str


@dataclass(slots=True)
class _Record:
    """What a source has done within the window."""

    offences: deque[_Offence] = field(default_factory=deque)
    names: dict[str, float] = field(default_factory=dict)
    """When each user name was last concerned."""
    score: int = 0

    def add(self, offence: _Offence) -> None:
        self.offences.append(offence)
        self.score += offence.points
        if offence.name:
            self.names[offence.name] = offence.at

    def forget(self, until: float) -> None:
        """Forget what happened at `until` or earlier."""
        while self.offences and self.offences[0].at <= until:
            oldest = self.offences.popleft()
            self.score -= oldest.points
            if oldest.name and self.names.get(oldest.name, until) <= until:
                self.names.pop(oldest.name, None)

    def main_kind(self) -> str:
        points: Counter[str] = Counter()
        for offence in self.offences:
            points[offence.kind] += offence.points
        return max(points, key=points.__getitem__)


class Bans:
    """The scores and bans of a server.

    It remembers at most `max_sources` sources that have offended, as many that are banned, as many that the
    operator has banned, and the number of bans of as many. Beyond that, the source that has been quiet
    longest is forgotten. What no longer matters is forgotten when another source is counted or banned. The
    lists are separate: sources that merely offend, however many, cannot push a ban
    out, and bans cannot keep others from being counted.
    """

    def __init__(self, policy: BanPolicy) -> None:
        self._policy = policy
        self._counted: OrderedDict[str, _Record] = OrderedDict()
        self._banned: OrderedDict[str, Ban] = OrderedDict()
        self._by_operator: dict[str, Ban] = {}
        self._history: OrderedDict[str, Ban] = OrderedDict()
        """The latest ban of each source, which may have ended."""

    def __len__(self) -> int:
        """Number of entries of the longest list."""
        return max(len(self._counted), len(self._banned), len(self._by_operator), len(self._history))

    def banned(self, source: str, now: float) -> bool:
        """Whether the source is banned."""
        lists: tuple[dict[str, Ban], ...] = (self._banned, self._by_operator)
        for bans in lists:
            if (ban := bans.get(source)) is not None:
                if now < ban.until:
                    return True
                del bans[source]
        return False

    def count(self, source: str, kind: str, points: int, now: float, name: str = "") -> Ban | None:
        """Count an offence, by the user name that it concerns, if any. Returns the ban that it caused."""
        policy = self._policy
        if policy.threshold == 0 or points == 0 or self.banned(source, now):
            return None
        record = self._counted.setdefault(source, _Record())
        self._counted.move_to_end(source)
        record.forget(now - policy.window_seconds)
        if name and record.names and name not in record.names:
            points += policy.other_name_points
        record.add(_Offence(now, points, kind, name))
        if record.score < policy.threshold:
            begin = now - policy.window_seconds
            _shrink(self._counted, policy.max_sources, lambda quiet: quiet.offences[-1].at <= begin)
            return None
        return self._begin(source, record.main_kind(), record.score, len(record.offences), now)

    def score(self, source: str, now: float) -> int:
        """The points of a source within the window."""
        if (record := self._counted.get(source)) is None:
            return 0
        record.forget(now - self._policy.window_seconds)
        return record.score

    def reached(self, source: str, points: int, now: float) -> Ban | None:
        """Ban a source that has so many points on all replicas together, if they cause a ban, and if it has
        offended here within the window and is not banned yet."""
        record, threshold = self._counted.get(source), self._policy.threshold
        if record is None or not 0 < threshold <= points or self.banned(source, now):
            return None
        record.forget(now - self._policy.window_seconds)
        if not record.offences:
            return None
        return self._begin(source, record.main_kind(), points, len(record.offences), now)

    def _begin(self, source: str, reason: str, score: int, offences: int, now: float) -> Ban:
        policy = self._policy
        del self._counted[source]
        number = self._number(source, now)
        seconds = policy.ban_seconds(number)
        ban = Ban(source, reason, score, offences, number, seconds, now + seconds)
        for remembered, seconds in ((self._banned, 0.0), (self._history, policy.memory_seconds)):
            remembered[source] = ban
            remembered.move_to_end(source)
            last = now - seconds
            _shrink(remembered, policy.max_sources, lambda old, last=last: old.until <= last)  # type: ignore[misc]
        return ban

    def add(self, source: str, reason: str, seconds: float, now: float) -> Ban:
        """Ban a source by the operator's decision; replaces an earlier decision about it.

        Raises TooManyBans: if the operator has banned as many sources as can be remembered.
        """
        if source not in self._by_operator and len(self._by_operator) >= self._policy.max_sources:
            self._by_operator = {ban.source: ban for ban in self._by_operator.values() if now < ban.until}
            if len(self._by_operator) >= self._policy.max_sources:
                raise TooManyBans(f"{self._policy.max_sources} sources are banned already: lift a ban first")
        ban = self._by_operator[source] = Ban(source, reason, 0, 0, 1, seconds, now + seconds)
        return ban

    def adopt(self, ban: Ban, now: float, *, by_operator: bool) -> bool:
        """Take over what another replica knows about a ban. It may have ended: then only its number counts,
        for the next one. It replaces what is known here. Returns whether the source is banned by it now.

        An operator's ban is not taken over if as many sources are banned as can be remembered.
        """
        if not by_operator:
            self._counted.pop(ban.source, None)
            self._history[ban.source] = ban
            _shrink(self._history, self._policy.max_sources, lambda _old: False)
        if now >= ban.until:
            return False
        if not by_operator:
            self._banned[ban.source] = ban
            _shrink(self._banned, self._policy.max_sources, lambda _old: False)
        elif ban.source in self._by_operator or len(self._by_operator) < self._policy.max_sources:
            self._by_operator[ban.source] = ban
        else:
            return False
        return True

    def end(self, source: str, now: float, *, by_operator: bool) -> Ban | None:
        """End one of the bans of a source, because another replica has lifted it. Returns it if it was in
        force."""
        if not by_operator:
            self._counted.pop(source, None)
            self._history.pop(source, None)
        bans: dict[str, Ban] = self._by_operator if by_operator else self._banned
        ban = bans.pop(source, None)
        return ban if ban is not None and now < ban.until else None

    def lift(self, source: str, now: float) -> list[Ban]:
        """End the bans of a source, and forget what it has done. Returns the bans that were in force."""
        lifted = [bans.pop(source, None) for bans in (self._banned, self._by_operator)]
        self._counted.pop(source, None)
        self._history.pop(source, None)
        return [ban for ban in lifted if ban is not None and now < ban.until]

    def active(self, now: float) -> list[Ban]:
        """The bans in force; of a source that is banned twice, both. Thread-safe."""
        bans = [*list(self._banned.values()), *list(self._by_operator.values())]
        return [ban for ban in bans if now < ban.until]

    def _number(self, source: str, now: float) -> int:
        last = self._history.get(source)
        if last is None or now >= last.until + self._policy.memory_seconds:
            return 1
        return last.number + 1


def _shrink(remembered: OrderedDict[str, T], limit: int, is_over: Callable[[T], bool]) -> None:
    """Forget the oldest entries: those beyond the limit, and those that no longer matter."""
    while remembered and (len(remembered) > limit or is_over(next(iter(remembered.values())))):
        remembered.popitem(last=False)
