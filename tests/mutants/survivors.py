"""A mutant that no test noticed, as mutmut shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.mutants.lists import Equivalent


@dataclass(frozen=True)
class Survivor:
    """One mutant."""

    name: str
    """mutmut's name for it."""
    module: str
    function: str
    was: str
    becomes: str
    diff: str

    def is_one_of(self, known: Iterable[Equivalent]) -> bool:
        return any(
            (each.module, each.function, each.was, each.becomes)
            == (self.module, self.function, self.was, self.becomes)
            for each in known
        )


def survivor(name: str, shown: str) -> Survivor:
    """Out of mutmut's name and its diff: `a.b.xǁClassǁmethod__mutmut_3` or `a.b.x_function__mutmut_3`."""
    dotted, _, mangled = name.rpartition(".")
    function = mangled.rpartition("__mutmut_")[0]
    function = function[2:].replace("ǁ", ".") if function.startswith("xǁ") else function.removeprefix("x_")
    lines = [line for line in shown.splitlines() if not line.startswith(("#", "---", "+++", "@@"))]
    return Survivor(
        name,
        dotted.replace(".", "/") + ".py",
        function,
        _changed(lines, "-"),
        _changed(lines, "+"),
        "\n".join(lines),
    )


def _changed(lines: list[str], sign: str) -> str:
    return "\n".join(line[1:].strip() for line in lines if line.startswith(sign))
