"""What was measured, and the file it is kept in: written again after each measurement, so none is lost."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Sample:
    """One measurement: one peer, one work, one run."""

    work: str
    setting: str
    peer: str
    run: int
    seconds: float = 0.0
    """Until the last client ended."""
    bytes: int = 0
    files: int = 0
    cpu_seconds: float = 0.0
    """Of the server and its children, until what was sent is stored."""
    peak_memory: int = 0
    """Bytes: the largest sum of the peak resident sizes of processes that lived at the same time."""
    requests: dict[str, int] = field(default_factory=dict)
    """To S3, by API; none over TLS, where the relay cannot read them."""
    connections: int = 0
    """To S3, that were open at some time."""
    sent: int = 0
    """Bytes to S3 and from it, as TCP carries them."""
    received: int = 0
    cipher: str = ""
    """Of the connection between client and server, as the client tells; empty where it does not."""
    relay_cpu_seconds: float = 0.0
    client_cpu_seconds: float = 0.0
    values: dict[str, float] = field(default_factory=dict)
    """What only some works measure, such as `first_names_seconds`."""
    failure: str = ""
    """Why there are no numbers."""
    wrong: bool = False
    """The bytes were not right: then no number of this peer at this work counts."""


@dataclass
class Results:
    """All samples of a run, and what they were measured on."""

    about: dict[str, Any]
    samples: list[Sample] = field(default_factory=list)

    def of(self, work: str, setting: str, peer: str) -> list[Sample]:
        """Samples that succeeded; none of a peer that got bytes wrong at this work."""
        if any(s.wrong and (s.work, s.peer) == (work, peer) for s in self.samples):
            return []
        return [
            s for s in self.samples if (s.work, s.setting, s.peer) == (work, setting, peer) and not s.failure
        ]

    def failures(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.failure]

    def save(self, file: Path) -> None:
        content = {**self.about, "samples": [_compact(sample) for sample in self.samples]}
        text = json.dumps(content, indent=1, ensure_ascii=False)
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".part")
        unfinished.write_text(text + "\n", encoding="utf-8")
        unfinished.replace(file)


def load(file: Path) -> Results:
    content = json.loads(file.read_text("utf-8"))
    samples = [Sample(**each) for each in content.pop("samples")]
    return Results(content, samples)


def _compact(sample: Sample) -> dict[str, Any]:
    kept = {name: value for name, value in dataclasses.asdict(sample).items() if value or name == "run"}
    return {name: _rounded(value) for name, value in kept.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return value


@dataclass(frozen=True)
class Spread:
    """A figure over several runs."""

    median: float
    least: float
    most: float
    runs: int


def spread(samples: Iterable[Sample], figure: Callable[[Sample], float | None]) -> Spread | None:
    """Median and extremes of a figure; None when no sample has it."""
    values = [value for value in map(figure, samples) if value is not None]
    if not values:
        return None
    return Spread(statistics.median(values), min(values), max(values), len(values))
