"""`python -m bench.logins` measures real servers, and what it computes is right."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bench.logins import percentile

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1.0), (1, 1.0), (50, 50.0), (99, 99.0), (99.5, 100.0), (100, 100.0)]
)
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(percent: float, expected: float) -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert percentile(values, percent) == expected


def test_the_percentile_of_a_single_value_is_that_value() -> None:
    assert percentile([0.25], 99) == 0.25


def test_the_command_prints_a_line_for_each_server_and_the_load() -> None:
    sizes = ("--logins", "4", "--together", "4", "--rounds", "1", "--runs", "1")
    # paths of Unix sockets end at 107 bytes
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        command = [sys.executable, "-m", "bench.logins", "--peers", "s3sftp,rclone", *sizes]
        done = subprocess.run(
            [*command, "--scratch", scratch],
            cwd=ROOT,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    ours, theirs, load = done.stdout.splitlines()
    for line, name in ((ours, "s3sftp"), (theirs, "rclone")):
        assert line.split()[0] == name
        assert float(line.split()[1]) > 0
        assert "at the 99th percentile while 4 log in" in line
    assert load.startswith("load ")
