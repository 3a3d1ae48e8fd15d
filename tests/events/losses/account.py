"""What must be true of the events at a sink when all uploads have ended. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Account:
    """The events at one sink, compared with the files in the bucket."""

    sink: str
    events: int
    """Different ones."""
    lost: Sequence[str]
    """Files that have no event with their ETag."""
    false: Sequence[str]
    """Paths of events that say `confirmed`, and no such file is there."""
    in_doubt: int
    """Events that say `unknown`."""
    duplicates: int
    """Events that came again, counted each time."""
    most_duplicates: int
    """How many may have."""

    @property
    def is_right(self) -> bool:
        return not self.lost and not self.false and self.duplicates <= self.most_duplicates


def account_of(
    sink: str, events: Sequence[Mapping[str, Any]], files: Mapping[str, str], most_duplicates: int
) -> Account:
    """Compare the events that have arrived with the files, whose ETags are given by their paths."""
    times = Counter(event["id"] for event in events)
    told = {(event["subject"], event["data"].get("etag")) for event in events}
    return Account(
        sink=sink,
        events=len(times),
        lost=sorted(path for path, etag in files.items() if (path, etag) not in told),
        false=sorted(
            {
                event["subject"]
                for event in events
                if event["data"]["certainty"] == "confirmed" and event["subject"] not in files
            }
        ),
        in_doubt=len({event["id"] for event in events if event["data"]["certainty"] == "unknown"}),
        duplicates=times.total() - len(times),
        most_duplicates=most_duplicates,
    )


def table(accounts: Sequence[Account]) -> str:
    """All sinks, as a table of Markdown."""
    head = (
        "| sink | files without event | events without file | in doubt | events | duplicates | of at most |"
    )
    lines = [head, "|---|--:|--:|--:|--:|--:|--:|"]
    for each in accounts:
        cells = (
            each.sink,
            len(each.lost),
            len(each.false),
            each.in_doubt,
            each.events,
            each.duplicates,
            each.most_duplicates,
        )
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines)
