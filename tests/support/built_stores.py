"""Stores that are built for the tests, once for each version, in `.cache/stores`."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

CACHE = Path(__file__).parents[2] / ".cache/stores"


def built(name: str, command: Callable[[Path], Sequence[str]]) -> Path:
    """The directory that a command fills; it is run when there is none of this name.

    Where it fails the test is skipped loudly; in CI it fails.
    """
    target = CACHE / name
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of the test run may want it too
        if not target.exists():
            unfinished = CACHE / f"{name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            _run(command(unfinished))
            unfinished.rename(target)
    return target


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"STORE NOT BUILT: {command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
