"""Runs pytest, then the tests that failed once more, with nothing beside them: `python -m tests.twice …`.

Thousands of tests start real servers and clients on a machine that others may use too. A test that fails
there and passes alone has met that machine, or a race, and not a promise that is broken for every user. Such
tests do not fail the run: they are named at its end, so that somebody makes them steady. Nothing else is
forgiven: more than `MOST` failures, and all that is no failure of a test, end the run as they are.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MOST = 4
"""Failures that chance explains, among all tests of a run."""
_FAILURES = 1
"""Status of pytest if tests failed, and nothing else went wrong."""


def main(arguments: list[str], directory: Path) -> int:
    """Run the tests that are found from `directory`. Returns the exit status."""
    cache = directory / ".pytest_cache"
    status = _run(directory, cache, ["--cache-clear", *arguments])
    if status != _FAILURES:
        return status
    failed = _failed(cache)
    if not 0 < len(failed) <= MOST:
        return status
    print(f"\n{len(failed)} failed. Once more, with nothing beside them:\n", flush=True)
    status = _run(directory, cache, ["--last-failed", "-v", *_alone(arguments)])
    if status == 0:
        print("\nunsteady: failed beside others, passed alone. Make them steady:", flush=True)
        for name in failed:
            print(f"    {name}", flush=True)
    return status


def _run(directory: Path, cache: Path, arguments: list[str]) -> int:
    command = [sys.executable, "-m", "pytest", "-o", f"cache_dir={cache}", *arguments]
    return subprocess.run(command, cwd=directory, check=False).returncode


def _failed(cache: Path) -> list[str]:
    """The names of the tests that failed in the last run."""
    file = cache / "v/cache/lastfailed"
    return sorted(json.loads(file.read_text())) if file.exists() else []


def _alone(arguments: list[str]) -> list[str]:
    """The arguments without those that have several processes share the tests."""
    left = list(arguments)
    for option in ("-n", "--dist"):
        if option in left:
            at = left.index(option)
            del left[at : at + 2]
    return left


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path.cwd()))
