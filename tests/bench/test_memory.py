"""How the benchmark measures memory, and how it comes to have many sessions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import meter
from bench.clients.sessions import given_up_after, sessions, side_by_side
from bench.failures import Failed
from bench.meter import Meter, own_proportional_bytes, proportional_bytes, rested_bytes, tree
from bench.peers import PEERS
from tests.bench.servers import nowhere

MIB = 1 << 20
SHARED = 64 * MIB
PARENT_AND_CHILD = f"""
import os
data = os.urandom({SHARED})
os.fork()
os.write(1, b"1\\n")  # whole, which `print` is not
input()
"""


@pytest.fixture
def parent() -> Iterator[int]:
    """A process and a child of it that share 64 MiB."""
    command = [sys.executable, "-c", PARENT_AND_CHILD]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert [process.stdout.readline(), process.stdout.readline()] == [b"1\n", b"1\n"]
        yield process.pid
    finally:
        for pid in reversed(tree(process.pid)):
            os.kill(pid, 9)
        process.communicate()


def test_what_processes_share_is_counted_once(parent: int) -> None:
    assert len(tree(parent)) == 2
    assert SHARED <= proportional_bytes(parent) < 2 * SHARED
    assert all(own_proportional_bytes(pid) < SHARED for pid in tree(parent))


def test_the_most_that_is_seen_of_a_memory_is_its_peak(parent: int) -> None:
    watching = Meter(parent, proportional_bytes)
    watching.start()
    _, peak = watching.stop()
    assert SHARED <= peak < 2 * SHARED


def test_a_process_that_is_gone_takes_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert proportional_bytes(process.pid) == 0


def test_memory_that_is_given_back_late_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter([100, 120, 90, 90, 90, 80, 85, 85, 85, 10])
    monkeypatch.setattr(meter, "proportional_bytes", lambda _: next(seen))
    assert rested_bytes(1, looks=3, pause_seconds=0) == 80


async def test_a_server_that_does_not_take_all_sessions_has_failed(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="does not take 3 sessions"):
        async with sessions(nowhere(PEERS["s3sftp"], tmp_path), 3):
            pass


def test_a_server_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    server = nowhere(PEERS["s3sftp"], tmp_path, "import time; time.sleep(1000)")
    with given_up_after(server, seconds=0):
        assert server.process.wait() == -signal.SIGKILL


async def test_what_fails_beside_others_is_told() -> None:
    async def fail() -> None:
        raise ValueError("the disk is full")

    with pytest.raises(Failed, match="the disk is full"):
        await side_by_side([fail()])
