"""A run of the tests needs disk space, says so before it begins, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace

import pytest

from testbed.s3_store import Store
from testbed.seaweed import running_seaweed
from tests.support.disk_space import NEEDED_BYTES, shortage
from tests.support.moto_server import running_moto
from tests.support.rclone_server import running_rclone

ROOT = Path(__file__).parents[1]
FULL_DISK = """
import shutil, sys, pytest
from types import SimpleNamespace
shutil.disk_usage = lambda path: SimpleNamespace(free=100 << 20)
sys.exit(pytest.main(["tests/test_backoff.py", "-q", *sys.argv[1:]]))
"""


def test_enough_space_is_no_shortage(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert shortage(free // 2, tmp_path) is None


def test_a_shortage_says_what_is_free_and_what_is_needed_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 30))
    assert shortage(4 << 30, tmp_path) == (
        f"DISK SPACE: {tmp_path} has 1.0 GiB free and the tests need 4.0 GiB:"
        " free some, or set TMPDIR to a directory on another disk"
    )


@pytest.mark.parametrize("arguments", [[], ["-n", "1"]], ids=["alone", "with workers"])
def test_a_run_on_a_full_disk_ends_before_its_first_test(arguments: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"0.1 GiB free and the tests need {NEEDED_BYTES >> 30}.0 GiB" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("running", [running_seaweed, running_moto, running_rclone])
def test_a_store_that_has_ended_leaves_nothing_in_the_temporary_directory(
    running: Callable[[], AbstractContextManager[Store]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with running():
        assert list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []
