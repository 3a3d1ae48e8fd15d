"""What a test run says at its end of tests that were skipped, and of those that may fail: a few lines.

Reasons that begin alike, `CLIENT MISSING: lftp is not installed` and the same of psftp, share a line.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MAX_LINES = 10
_WIDTH = 110
_HEADING = re.compile(r"(?P<heading>[A-Z][A-Z' -]+): (?P<rest>.+)")


def summary(stats: Mapping[str, Sequence[Any]]) -> list[str]:
    """The lines for pytest's `stats`, which are reports by outcome: at most MAX_LINES.

    None if there is nothing to say.
    """
    skipped = _grouped(_reason(report.longrepr) for report in stats.get("skipped", ()))
    declared = _declared(len(stats.get("xfailed", ())), len(stats.get("xpassed", ())))
    room = MAX_LINES - len(declared)
    if len(skipped) > room:
        others = skipped[room - 1 :]
        count = sum(number for number, _ in others)
        skipped[room - 1 :] = [(count, f"for {len(others)} other reasons, which pytest -rs lists")]
    return [*(_cut(f"{count:5} skipped: {reason}") for count, reason in skipped), *declared]


def _declared(failed: int, passed: int) -> list[str]:
    if not failed + passed:
        return []
    also = f", {passed} that may fail passed" if passed else ""
    return [f"{failed:5} failed as tests/stores/lacks.py or an `exempt` declares{also} (pytest -rxX)"]


def _reason(longrepr: tuple[str, int, str] | object) -> str:
    text = str(longrepr[2] if isinstance(longrepr, tuple) else longrepr)
    return next(iter(text.removeprefix("Skipped: ").splitlines()), "no reason")


def _grouped(reasons: Iterable[str]) -> list[tuple[int, str]]:
    """Counts and texts, the most frequent first."""
    groups: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for reason in reasons:
        found = _HEADING.fullmatch(reason)
        heading, rest = (f"{found['heading']}: ", found["rest"]) if found else ("", reason)
        groups[heading or reason][rest] += 1
    counted = [
        (rests.total(), (heading if heading not in rests else "") + _joined([*rests]))
        for heading, rests in groups.items()
    ]
    return sorted(counted, key=lambda each: (-each[0], each[1]))


def _joined(texts: Sequence[str]) -> str:
    """`lftp, psftp is not installed`: what all of them end with is said once."""
    words = [text.split(" ") for text in texts]
    alike = 0
    while len(texts) > 1 and all(len(each) > alike + 1 for each in words):
        if len({each[-1 - alike] for each in words}) > 1:
            break
        alike += 1
    end = words[0][len(words[0]) - alike :]
    return " ".join([", ".join(" ".join(each[: len(each) - alike]) for each in words), *end])


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"
