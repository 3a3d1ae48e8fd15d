"""What is mutated, by pyproject.toml, and which mutants are no faults, by equivalents.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Equivalent:
    """A change of one function that no test can notice."""

    module: str
    """The path of its file."""
    function: str
    """`Class.method` or `function`."""
    was: str
    """The lines that change, without their indentation."""
    becomes: str
    why: str


def modules() -> list[str]:
    """The paths of the modules that are mutated."""
    return list(_settings()["only_mutate"])


def suite() -> list[str]:
    """The paths of the tests that mutants meet."""
    return list(_settings()["pytest_add_cli_args_test_selection"])


def equivalents() -> list[Equivalent]:
    found = tomllib.loads((Path(__file__).parent / "equivalents.toml").read_text("utf-8"))
    return [Equivalent(**each) for each in found.get("equivalent", ())]


def _settings() -> dict[str, Any]:
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["mutmut"]
    return settings
