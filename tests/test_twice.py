"""A run of tests forgives what passes alone, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.twice import MOST, main

PASSES_ALONE = """
import pathlib
def test_unsteady():
    met = pathlib.Path({mark!r})
    if not met.exists():
        met.touch()
        raise AssertionError("met the machine")
"""
FAILS = "def test_broken():\n    assert False\n"
PASSES = "def test_fine():\n    pass\n"


def status(directory: Path, *sources: str) -> int:
    for number, source in enumerate(sources):
        (directory / f"test_{number}.py").write_text(source.format(mark=str(directory / f"met {number}")))
    return main(["-q", "-n", "2", "--dist", "loadfile", "--import-mode=importlib"], directory)


def test_a_test_that_passes_alone_does_not_fail_the_run_and_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert status(tmp_path, PASSES, PASSES_ALONE) == 0
    said = capfd.readouterr().out
    assert "unsteady" in said
    assert "    test_1.py::test_unsteady" in said.splitlines()


def test_a_test_that_fails_again_fails_the_run(tmp_path: Path) -> None:
    assert status(tmp_path, PASSES_ALONE, FAILS) == 1


def test_more_failures_than_chance_explains_are_not_forgiven(tmp_path: Path) -> None:
    assert status(tmp_path, *[PASSES_ALONE] * (MOST + 1)) == 1


@pytest.mark.parametrize(
    "source", ["import missing_module", "raise KeyboardInterrupt"], ids=["not importable", "interrupted"]
)
def test_what_is_no_failure_of_a_test_is_not_forgiven(tmp_path: Path, source: str) -> None:
    assert status(tmp_path, PASSES, source) not in (0, 1)


def test_nothing_but_passed_tests_is_a_success(tmp_path: Path) -> None:
    assert status(tmp_path, PASSES) == 0
