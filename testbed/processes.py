"""Programs that tests and benchmarks start: each has its own group, an output file, and a certain end."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

# Outside the range from which the kernel picks ports for outgoing connections, also with 10 000 added.
_PORTS = range(12_000, 22_000)
_SHARES = 8
_numbers = random.SystemRandom()
_given: set[int] = set()


def program(name: str) -> str | None:
    """Where a program is: beside the Python that runs the tests first, then on PATH; None when missing."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def free_port() -> int:
    """A port that nobody listens on now, and nor on the one 10 000 above (SeaweedFS takes that too).

    Until the program that it is for listens, nobody else gets it: a process gives no port twice, and workers
    of a test run have different shares of them.
    """
    share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
    for _ in range(1000):
        port = _numbers.choice(_PORTS[share::_SHARES])
        if port not in _given and _is_free(port) and _is_free(port + 10_000):
            _given.add(port)
            return port
    raise RuntimeError("no free port")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody listens on a port."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def wait_until(condition: Callable[[], bool], timeout: float, what: str) -> None:
    """Block until the condition holds. For fixtures and other places without an event loop."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout} s")
        time.sleep(0.05)


@contextmanager
def temporary_directory(prefix: str) -> Iterator[Path]:
    """A directory for what a program keeps, removed at the end of the block or of this Python process."""
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as directory:
        yield Path(directory)


class Process:
    """A started program. Ends with this Python process at the latest, also when that is killed."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.command = list(command)
        self.log = log
        with log.open("ab") as out:
            self._popen = subprocess.Popen(
                [*_dying_with_parent(), *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; -9 when SIGKILL ended it."""
        return self._popen.poll()

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_ready(self, ready: Callable[[], bool], timeout: float = 30) -> None:
        """Block until `ready` says so; RuntimeError with the output when the program ends before that."""

        def ready_or_ended() -> bool:
            if self.exit_status is not None:
                raise RuntimeError(f"{self.command} ended with {self.exit_status}:\n{self.output()[-4000:]}")
            return ready()

        try:
            wait_until(ready_or_ended, timeout, f"{self.command[0]} to be ready")
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.output()[-4000:]}") from None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program alone, not to its children."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, timeout: float = 30) -> int:
        """Its exit status; TimeoutError with what it wrote, and with what it waits for if it can tell."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGUSR1)
            time.sleep(2)
            raise TimeoutError(
                f"{self.command} did not end within {timeout} s:\n{self.output()[-20_000:]}"
            ) from None

    def kill(self) -> None:
        """SIGKILL the whole group and collect it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def stop(self, grace: float = 10) -> int:
        """SIGTERM, and SIGKILL for whatever is left after `grace` seconds; the exit status."""
        if self.exit_status is None:
            self.send(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(grace)
        self.kill()
        return self._popen.returncode


def _dying_with_parent() -> list[str]:
    # A time limit of pytest ends the run without clean-up: the kernel then ends what was started.
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []
