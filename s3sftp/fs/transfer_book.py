"""The book of transfers of one process: those under way, the latest that ended, and each user's day.

    OPEN ─► began ─► live ── CLOSE ─► ended ─► recent   a bounded ring
                                        ├────► session  bytes of the session so far
                                        └────► day      files, bytes and requests of the user since midnight

A READ or WRITE writes nothing here: what is under way has counts of its own, which are read when somebody
asks.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

from s3sftp.telemetry import Costs
from s3sftp.telemetry.costs import dollars

MAX_RECENT = 500
"""Transfers that have ended and are remembered."""
MAX_USERS = 1000
"""Users whose day is kept apart."""
OTHER_USERS = "other"
"""The name of all others together."""
_DAY_SECONDS = 86400


@dataclass(frozen=True, slots=True)
class TransferSummary:
    """One transfer, at one moment."""

    id: str
    session: str
    user: str
    peer: str
    direction: str
    """`upload` or `download`."""
    path: str
    bytes: int
    size: int | None
    """The size of the file; None while it is uploaded."""
    seconds: float
    state: str = "live"
    """`live`, `committed`, `failed` or `aborted`."""
    bucket: str | None = None
    key: str | None = None
    reason: str | None = None
    error: str | None = None
    ended_at: float | None = None
    """Seconds since the epoch."""
    trace_id: str | None = None
    s3_requests: int = 0
    s3_dollars: float = 0.0


class LiveTransfer(Protocol):
    """A transfer that is under way."""

    def summary(self) -> TransferSummary:
        """What it is and has moved by now."""


@dataclass(slots=True)
class SessionTraffic:
    """The bytes of a session's transfers that have ended."""

    bytes_in: int = 0
    bytes_out: int = 0

    def add(self, transfer: TransferSummary) -> None:
        if transfer.direction == "upload":
            self.bytes_in += transfer.bytes
        else:
            self.bytes_out += transfer.bytes


@dataclass(slots=True)
class UserDay:
    """What a user has moved and caused on one day."""

    traffic: SessionTraffic = field(default_factory=SessionTraffic)
    files_in: int = 0
    """Files that were stored."""
    files_out: int = 0
    """Files that were read and closed by the client."""
    costs: Costs = field(default_factory=Costs)

    def add(self, transfer: TransferSummary) -> None:
        self.traffic.add(transfer)
        if transfer.state == "committed":
            is_upload = transfer.direction == "upload"
            self.files_in += is_upload
            self.files_out += not is_upload


@dataclass(frozen=True, slots=True)
class DaySummary:
    """The same as values, with what is under way."""

    user: str
    s3_requests: int
    s3_dollars: float
    bytes_in: int
    bytes_out: int
    files_in: int
    files_out: int


class TransferBook:
    """The transfers of one process."""

    def __init__(self, clock: Callable[[], float] = time.time, *, is_pretended: bool = False) -> None:
        """`clock`: seconds since the epoch. `is_pretended`: its transfers are only tried, so nobody else
        learns of them: neither logs nor traces, metrics nor other systems."""
        self.is_pretended = is_pretended
        self._clock = clock
        self._live: dict[str, LiveTransfer] = {}
        self._recent: deque[TransferSummary] = deque(maxlen=MAX_RECENT)
        self._sessions: dict[str, SessionTraffic] = {}
        self._days: dict[str, UserDay] = {}
        self._day = int(clock() // _DAY_SECONDS)
        self._numbers = itertools.count(1)

    @property
    def day(self) -> int:
        """The present day, in days since the epoch."""
        self._turn_page()
        return self._day

    def begin(self, session: str, transfer: LiveTransfer) -> str:
        """Note a transfer that begins. Returns its id."""
        number = f"{session}-{next(self._numbers)}"
        self._live[number] = transfer
        return number

    def end(self, transfer: TransferSummary) -> None:
        """Note how a transfer has ended."""
        if self._live.pop(transfer.id, None) is None:
            return
        self._recent.append(transfer)
        self._of_user(transfer.user).add(transfer)
        if (traffic := self._sessions.get(transfer.session)) is not None:
            traffic.add(transfer)

    def account_of(self, user: str) -> Costs:
        """The account of a user's present day, for the `owner` of other accounts."""
        return self._of_user(user).costs

    def open_session(self, session: str) -> None:
        """Keep the bytes of a session until `close_session`."""
        self._sessions[session] = SessionTraffic()

    def close_session(self, session: str) -> None:
        self._sessions.pop(session, None)

    def live(self) -> Iterator[TransferSummary]:
        """What is under way, in the order of the OPENs."""
        return (transfer.summary() for transfer in list(self._live.values()))

    def recent(self) -> Iterator[TransferSummary]:
        """What has ended, the latest first."""
        return reversed(self._recent)

    def traffic(self, sessions: Collection[str]) -> dict[str, SessionTraffic]:
        """The bytes of these sessions, as far as they are open, with what is under way."""
        found = {name: replace(self._sessions[name]) for name in sessions if name in self._sessions}
        for number, transfer in list(self._live.items()):
            # a summary takes time, and most transfers are those of other sessions
            if (traffic := found.get(number.rpartition("-")[0])) is not None:
                traffic.add(transfer.summary())
        return found

    def days(self) -> list[DaySummary]:
        """Each user's day, with what is under way."""
        self._turn_page()
        moving: dict[str, SessionTraffic] = {}
        for transfer in self.live():
            name = transfer.user if transfer.user in self._days else OTHER_USERS
            moving.setdefault(name, SessionTraffic()).add(transfer)
        found = []
        for user in self._days.keys() | moving.keys():
            day, now = self._days.get(user, _NOTHING), moving.get(user, _NO_TRAFFIC)
            found.append(
                DaySummary(
                    user,
                    day.costs.total(),
                    dollars(day.costs.requests),
                    day.traffic.bytes_in + now.bytes_in,
                    day.traffic.bytes_out + now.bytes_out,
                    day.files_in,
                    day.files_out,
                )
            )
        return found

    def _of_user(self, user: str) -> UserDay:
        self._turn_page()
        day = self._days.get(user)
        if day is None:
            name = user if len(self._days) < MAX_USERS else OTHER_USERS
            day = self._days.setdefault(name, UserDay())
        return day

    def _turn_page(self) -> None:
        today = int(self._clock() // _DAY_SECONDS)
        if today != self._day:
            self._day = today
            self._days.clear()


_NO_TRAFFIC = SessionTraffic()
_NOTHING = UserDay()
