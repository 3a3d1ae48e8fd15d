"""How long others have given no sign of life, by this machine's own clock. Pure: values in, seconds out.

Clocks of machines differ, and so do those of stores. So nobody else's time is believed: a sign of life is an
object that was not there, or was another one, when we looked before.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import TypeAlias

Mark: TypeAlias = tuple[str, str, str]
"""An object of an instance as a listing tells it: its key, ETag and time."""


@dataclass(frozen=True, slots=True)
class _Seen:
    marks: Set[Mark]
    since: float


class Liveness:
    """Watches instances from listing to listing."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def of(self, found: Mapping[str, Set[Mark]], asked: float, answered: float) -> dict[str, float]:
        """For how many seconds each instance of a listing has surely given no sign when it was asked for.

        An object that is gone is no sign: another janitor may have removed it. Times are monotonic, and both
        ends of the request count so that a pause of ours in its middle makes nobody older.
        """
        for instance, marks in found.items():
            before = self._seen.get(instance)
            if before is None or not marks <= before.marks:
                self._seen[instance] = _Seen(marks, answered)
        self._seen = {instance: seen for instance, seen in self._seen.items() if instance in found}
        return {instance: max(0.0, asked - seen.since) for instance, seen in self._seen.items()}
