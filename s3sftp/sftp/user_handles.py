"""Counts what each user has open, over all sessions and workers, for the limit per user.

OPEN, OPENDIR ──► count of the user < most ──► counted until the CLOSE, or the end of the session
                                    else   ──► Busy
"""

from __future__ import annotations

from weakref import WeakValueDictionary

from s3sftp.errors import Busy
from s3sftp.fs import UserCounts
from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.telemetry.metric_catalogue import LIMITS_REACHED
from s3sftp.telemetry.metrics import Metrics

ROWS = 1 << 12


class UserHandles:
    """The handles of one user's sessions. `most` may change at any time; 0: there is no limit."""

    def __init__(self, user: str, most: int, counts: UserCounts, metrics: Metrics) -> None:
        self.most = most
        self._user = user
        self._counts = counts
        self._count = metrics.add

    def take(self) -> None:
        """Count one more.

        Raises Busy: if the user has as many open as allowed.
        """
        if self.most and self._counts.count(self._user) >= self.most:
            self._count(LIMITS_REACHED.row("handles"))
            raise Busy(f"too many open files of this user (at most {self.most} in all sessions)")
        self.add(1)

    def add(self, count: int) -> None:
        """Count so many more, or fewer, without a limit."""
        self._counts.add(self._user, count)


class HandlesOfUsers:
    """The handles of all users who have sessions in this process."""

    def __init__(self, table: SharedCounters | None, metrics: Metrics) -> None:
        """`table` has `ROWS` rows, which all workers share. None: one of this process."""
        self._counts = UserCounts(table or SharedCounters.alone(ROWS))
        self._metrics = metrics
        self._users: WeakValueDictionary[str, UserHandles] = WeakValueDictionary()

    def of(self, user: str, most: int) -> UserHandles:
        """The handles of a user who may have so many, which replaces the number for the user's sessions."""
        handles = self._users.get(user)
        if handles is None:
            handles = self._users[user] = UserHandles(user, most, self._counts, self._metrics)
        handles.most = most
        return handles

    def change(self, user: str, most: int) -> None:
        """Change how many handles a user may have. Those that are open stay."""
        if (handles := self._users.get(user)) is not None:
            handles.most = most
