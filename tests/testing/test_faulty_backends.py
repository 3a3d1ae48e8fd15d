"""A kit that a broken storage passes promises nothing: each promise is broken by a vice, and finds it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from s3sftp.testing import promises
from tests.testing.faulty_backends import HIDDEN, VICES, FaultyBackend

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """Which promises failed on which vice, as in continuous integration: pytest shows all of what differs."""
    report = tmp_path_factory.mktemp("vices") / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider"]
    command += ["tests/testing/faulty_backends_project.py", f"--junitxml={report}"]
    subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CI": "true"},
        capture_output=True,
        timeout=160,
    )
    cases = ElementTree.parse(report).iter("testcase")
    return {
        (case.get("classname", "").rpartition(".")[2], case.get("name", "").partition("[")[0])
        for case in cases
        if case.find("failure") is not None
    }


@pytest.mark.parametrize("vice", VICES, ids=lambda vice: vice.__name__)
def test_a_vice_is_found_by_the_promise_that_it_breaks(
    vice: type[FaultyBackend], failed: set[tuple[str, str]]
) -> None:
    assert [name for name in VICES[vice] if (f"Test{vice.__name__}", name) not in failed] == []


@pytest.mark.parametrize("vice", sorted(HIDDEN, key=str), ids=lambda vice: vice.__name__)
def test_a_vice_that_no_operation_shows_is_found_by_a_sequence_alone(
    vice: type[FaultyBackend], failed: set[tuple[str, str]]
) -> None:
    found_by = {name for vicious, name in failed if vicious == f"Test{vice.__name__}"}
    assert found_by == set(VICES[vice])


@pytest.mark.parametrize("group", promises.__all__)
def test_each_promise_of_a_group_is_broken_by_a_vice(group: str) -> None:
    names = {name for name in dir(getattr(promises, group)) if name.startswith("test_")}
    assert sorted(names.difference(*VICES.values())) == []
