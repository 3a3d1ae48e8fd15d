"""How a run of the tests goes: what it leaves to later tests, what it inherits, what it says at its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from tests.support.source_copy import ROOT
from tests.support.summary import MAX_LINES, summary


def run_of(directory: Path, text: str, *before: str, chosen: str = "") -> str:
    """What pytest says of a module of tests, or of those that are `chosen` by their markers, with the options
    and the `conftest.py` of these."""
    (directory / "test_it.py").write_text(text)
    options = ["-q", "-c", ROOT / "pyproject.toml", "--rootdir", directory, "-p", "tests.conftest"]
    options += ["-m", chosen] if chosen else []
    done = subprocess.run(
        [*before, sys.executable, "-m", "pytest", *options, "-p", "no:cacheprovider", directory],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"},
        timeout=60,
        check=False,
    )
    return done.stdout


def test_one_that_leaves_logging_configured_fails_and_those_after_it_run_without(tmp_path: Path) -> None:
    said = run_of(
        tmp_path,
        "import structlog\n"
        "def test_that_leaks():\n    structlog.configure(processors=[])\n"
        "def test_after_it():\n    assert not structlog.is_configured()\n",
    )
    assert "2 passed, 1 error" in said
    assert "logging is configured for later tests, too" in said


def test_in_the_background_of_a_shell_programs_hear_sigint_nevertheless(tmp_path: Path) -> None:
    interrupted = "import os, signal; os.kill(os.getpid(), signal.SIGINT); signal.pause()"
    said = run_of(
        tmp_path,
        "import subprocess, sys\n"
        "def test_it():\n"
        f"    done = subprocess.run([sys.executable, '-c', {interrupted!r}], timeout=20)\n"
        f"    assert done.returncode == {-signal.SIGINT}\n",
        *("env", "--ignore-signal=INT"),
    )
    assert "1 passed" in said, said


def test_the_inner_loop_leaves_out_what_starts_a_store_and_what_is_slow(tmp_path: Path) -> None:
    found = re.search(r'^test-fast:.*\n\t.* -m "([^"]+)"', (ROOT / "Makefile").read_text(), re.M)
    assert found
    said = run_of(
        tmp_path,
        "import pytest\n"
        "def test_engine():\n    pass\n"
        "def test_that_has_a_bucket(bucket):\n    pass\n"
        "@pytest.mark.parametrize('name', ['moto'])\n"
        "def test_that_names_a_store(name, request):\n    request.getfixturevalue(name)\n"
        "@pytest.mark.slow\n"
        "def test_that_waits():\n    pass\n",
        chosen=found[1],
    )
    assert "1 passed, 3 deselected" in said


def test_what_is_skipped_is_said_by_reason_and_what_may_fail_in_one_line(tmp_path: Path) -> None:
    said = run_of(
        tmp_path,
        "import pytest\n"
        "@pytest.mark.parametrize('name', ['lftp', 'psftp', 'lftp'])\n"
        "def test_client(name):\n    pytest.skip(f'CLIENT MISSING: {name} is not installed')\n"
        "@pytest.mark.skip(reason='nothing to see here')\n"
        "def test_other():\n    pass\n"
        "@pytest.mark.xfail(reason='exempt: cannot')\n"
        "@pytest.mark.parametrize('number', range(30))\n"
        "def test_exempt(number):\n    assert not number\n",
    )
    _, lines = said.split(" not tested ")
    assert [line.strip() for line in lines.splitlines()[1:-1]] == [
        "3 skipped: CLIENT MISSING: lftp, psftp is not installed",
        "1 skipped: nothing to see here",
        "29 failed as tests/stores/lacks.py or an `exempt` declares, 1 that may fail passed (pytest -rxX)",
    ]


def test_it_is_ten_lines_however_many_reasons_there_are() -> None:
    skipped = [SimpleNamespace(longrepr=("f", 1, f"Skipped: {number} of a kind")) for number in range(50)]
    lines = summary({"skipped": skipped, "xfailed": [None]})
    assert len(lines) == MAX_LINES
    assert lines[-2].strip() == "42 skipped: for 42 other reasons, which pytest -rs lists"


def test_it_says_nothing_where_nothing_is_skipped() -> None:
    assert summary({"passed": [None]}) == []
