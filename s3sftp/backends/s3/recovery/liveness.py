"""Measures how long other instances have shown no sign of life, by this machine's clock. Pure.

The clocks of machines and of stores differ, so no other clock is used. A sign of life is an object that was
missing, or different, in the previous listing.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import TypeAlias

Mark: TypeAlias = tuple[str, str, str]
"""An object of an instance in a listing: its key, ETag and time."""


@dataclass(frozen=True, slots=True)
class _Seen:
    marks: Set[Mark]
    since: float


class Liveness:
    """Watches instances from one listing to the next."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def of(self, found: Mapping[str, Set[Mark]], asked: float, answered: float) -> dict[str, float]:
        """Return for how many seconds each listed instance has certainly shown no sign of life at the time of
        the request.

        A missing object is no sign, because another janitor may have removed it. `asked` and `answered` are
        monotonic times of the request's start and end, so that a pause of this process in between makes no
        instance look older.
        """
        for instance, marks in found.items():
            before = self._seen.get(instance)
            if before is None or not marks <= before.marks:
                self._seen[instance] = _Seen(marks, answered)
        self._seen = {instance: seen for instance, seen in self._seen.items() if instance in found}
        return {instance: max(0.0, asked - seen.since) for instance, seen in self._seen.items()}
