"""Programs from PyPI in virtual environments of their own: made once, kept in `.cache`."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

CACHE = Path(__file__).parents[2] / ".cache"


def environment(name: str, packages: Sequence[str]) -> Path:
    """The Python of a virtual environment with just these packages; made at first, and when they change."""
    home = CACHE / name
    stamp = home / "packages"
    wanted = "\n".join(packages)
    with _one_at_a_time():
        if not stamp.exists() or stamp.read_text("ascii") != wanted:
            shutil.rmtree(home, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(home)])
            _run([str(home / "bin/python"), "-m", "pip", "install", "--quiet", *packages])
            stamp.write_text(wanted, "ascii")
    return home / "bin/python"


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Workers of a test run share what is downloaded; one of them downloads it."""
    lock = CACHE / "terraform/lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"NOT INSTALLED: {command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
