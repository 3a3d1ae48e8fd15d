"""A kit that a broken storage passes promises nothing: each vice is found by the promise that it breaks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.testing.vices import VICES, Vicious

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """Which promises failed on which vice."""
    report = tmp_path_factory.mktemp("vices") / "report.xml"
    wanted = " or ".join(
        f"(Test{vice.__name__} and {name})" for vice, names in VICES.items() for name in names
    )
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider"]
    command += ["tests/testing/vicious_project.py", "-k", wanted, f"--junitxml={report}"]
    subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, timeout=120
    )
    cases = ElementTree.parse(report).iter("testcase")
    return {
        (case.get("classname", "").rpartition(".")[2], case.get("name", "").partition("[")[0])
        for case in cases
        if case.find("failure") is not None
    }


@pytest.mark.parametrize("vice", VICES, ids=lambda vice: vice.__name__)
def test_a_vice_is_found_by_the_promise_that_it_breaks(
    vice: type[Vicious], failed: set[tuple[str, str]]
) -> None:
    assert [name for name in VICES[vice] if (f"Test{vice.__name__}", name) not in failed] == []
