"""Client programs, run to their end: the time they took together, and a limit to it."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.failures import Failed


@dataclass(frozen=True)
class Took:
    """What clients took."""

    seconds: float
    cpu_seconds: float


def run_together(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str], log: Path, timeout: float
) -> Took:
    """Start programs at once and wait for all. Failed when one fails or time is up: then none is left."""
    cpu_before = _children_seconds()
    started = time.monotonic()
    with log.open("wb") as out:
        running = [_start(command, environment, out.fileno()) for command in commands]
        try:
            for each in running:
                each.wait(max(0.1, started + timeout - time.monotonic()))
        except subprocess.TimeoutExpired:
            name = Path(commands[0][0]).name
            raise Failed(f"{name} took more than {timeout:.0f} s: {_tail(log)}") from None
        finally:
            _end(running)
    seconds = time.monotonic() - started
    bad = [each.returncode for each in running if each.returncode]
    if bad:
        raise Failed(f"{Path(commands[0][0]).name} ended with {bad[0]}: {_tail(log)}")
    return Took(seconds, _children_seconds() - cpu_before)


def _start(command: Sequence[str], environment: Mapping[str, str], out: int) -> subprocess.Popen[bytes]:
    setpriv = shutil.which("setpriv")
    dying_with_us = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
    return subprocess.Popen(
        [*dying_with_us, *command],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=out,
        env={**os.environ, **environment},
        start_new_session=True,
    )


def _end(running: Sequence[subprocess.Popen[bytes]]) -> None:
    for each in running:
        if each.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(each.pid, signal.SIGKILL)
            each.wait()


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-600:].strip()
