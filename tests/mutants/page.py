"""The part of docs/mutants.md that is made: a row for each module, and the equivalents."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tests.mutants.lists import ROOT, Equivalent, equivalents

PAGE = ROOT / "docs" / "mutants.md"
ENOUGH_PERCENT = 95


@dataclass(frozen=True)
class Score:
    """What became of the mutants of a module."""

    module: str
    mutants: int
    killed: int
    equivalent: int

    @property
    def percent(self) -> float:
        """Of the mutants that a test could notice, those that one did."""
        faults = self.mutants - self.equivalent
        return 100 * self.killed / faults if faults else 100.0

    @property
    def is_enough(self) -> bool:
        return self.percent >= ENOUGH_PERCENT

    @property
    def cells(self) -> tuple[str, ...]:
        alive = self.mutants - self.equivalent - self.killed
        counts = (self.mutants, self.killed, self.equivalent, alive)
        return (f"`{self.module}`", *map(str, counts), f"{self.percent:.1f} %")

    def __str__(self) -> str:
        return " ".join(self.cells)


def written(page: str, scores: Sequence[Score]) -> str:
    """The page with these scores and the present equivalents in it."""
    total = Score(
        "all",
        sum(score.mutants for score in scores),
        sum(score.killed for score in scores),
        sum(score.equivalent for score in scores),
    )
    rows = [_row(score.cells) for score in scores] + [_row(("all", *total.cells[1:]))]
    head = ["| module | mutants | killed | equivalent | alive | score |", "|---|---|---|---|---|---|"]
    page = _replaced(page, "scores", "\n".join(head + rows))
    return _replaced(page, "equivalents", listed(equivalents()))


def listed(known: Sequence[Equivalent]) -> str:
    """The equivalents as a table."""
    head = ["| function | mutant | why it is no fault |", "|---|---|---|"]
    rows = [
        _row(
            (f"`{each.module}`<br>`{each.function}`", f"{_code(each.was)}<br>{_code(each.becomes)}", each.why)
        )
        for each in known
    ]
    return "\n".join(head + rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(lines: str) -> str:
    return "<br>".join(f"`{line}`".replace("|", r"\|") for line in lines.splitlines())


def _replaced(page: str, mark: str, table: str) -> str:
    found = re.compile(f"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", re.DOTALL)
    return found.sub(lambda match: f"{match[1]}{table}\n{match[2]}", page)
