"""A log that nobody reads stops nothing: not the server, not its workers, not their end."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from s3sftp.telemetry.stderr_writer import StderrWriter
from testbed.processes import wait_until
from testbed.s3_store import Store
from tests.support.server import Server

LEAST_PIPE = 4096


class Unread:
    """A server whose standard error is a pipe that is read only when the test does."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.text = b""
        self._reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, LEAST_PIPE)
        self.process = self._started(writing)

    def _started(self, writing: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "s3sftp", "serve", "--config", str(self.server.config_file)]
        try:
            return subprocess.Popen(command, stderr=writing, start_new_session=True)
        finally:
            os.close(writing)

    async def until(self, event: str, timeout: float = 60) -> dict[str, Any]:
        """Read until something is told."""

        def read() -> dict[str, Any]:
            while not (found := self.logged(event)):
                self.text += os.read(self._reading, 1 << 16) or pytest.fail(f"{event}: never told")
            return found[-1]

        async with asyncio.timeout(timeout):
            return await asyncio.to_thread(read)

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [told for told in self.events() if told["event"] == event]

    def events(self) -> list[dict[str, Any]]:
        lines = self.text.rpartition(b"\n")[0].splitlines()
        return [json.loads(line) for line in lines if line.startswith(b"{")]

    def hang_up(self) -> None:
        """Nobody will ever read."""
        os.close(self._reading)
        self._reading = -1

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self._reading >= 0:
            os.close(self._reading)


@pytest.fixture(params=[1, 2], ids=["one process", "two workers"])
async def unread(
    request: pytest.FixtureRequest, seaweed: Store, bucket: str, tmp_path: Path
) -> AsyncIterator[Unread]:
    options = {"server": {"workers": request.param}, "log": {"level": "info"}, "listen": {"port": 0}}
    running = Unread(Server(tmp_path / "server", seaweed, bucket, options))
    try:
        await running.until("server.started")
        running.server.port = running.logged("server.listening")[-1]["port"]
        yield running
    finally:
        running.close()


@asynccontextmanager
async def session(unread: Unread) -> AsyncIterator[asyncssh.SFTPClient]:
    connection = await asyncssh.connect(
        unread.server.host,
        unread.server.port,
        username=unread.server.user,
        client_keys=[str(unread.server.key_file)],
        known_hosts=None,
        config=None,
    )
    async with connection, connection.start_sftp_client() as sftp:
        yield sftp


async def serves(unread: Unread) -> None:
    async with asyncio.timeout(30), session(unread) as sftp:
        async with sftp.open("/x", "wb") as file:
            await file.write(b"x" * 100_000)
        assert await sftp.getsize("/x") == 100_000


async def make_it_talk(unread: Unread, megabytes: float) -> None:
    """Have one worker write so much into its log."""
    name = "/".join(["n" * 200] * 4)

    async def read_it(sftp: asyncssh.SFTPClient, times: int) -> None:
        for _ in range(times):
            await (await sftp.open(name, "rb")).close()  # a line with the name

    async with asyncio.timeout(120), session(unread) as sftp:
        await (await sftp.open(name, "wb")).close()
        await asyncio.gather(*(read_it(sftp, round(megabytes * 1e6 / 1000 / 20)) for _ in range(20)))


async def test_nobody_reads_and_everybody_is_served_and_what_was_dropped_is_told(unread: Unread) -> None:
    await make_it_talk(unread, 0.1)
    await serves(unread)
    await make_it_talk(unread, 1.2)
    await serves(unread)
    unread.process.send_signal(signal.SIGUSR1)  # what it waits for goes the same way
    await serves(unread)
    dropped = await unread.until("log.lines_dropped")
    assert dropped["lines"] > 10
    await serves(unread)
    unread.process.send_signal(signal.SIGTERM)
    await unread.until("server.stopped")
    assert await asyncio.to_thread(unread.process.wait, 20) == 0


@pytest.mark.parametrize("is_gone", [False, True])
async def test_it_ends_in_time_though_nobody_reads(unread: Unread, is_gone: bool) -> None:
    if is_gone:
        unread.hang_up()
    await make_it_talk(unread, 0.1)
    await serves(unread)
    unread.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(unread.process.wait, 20) == 0


async def test_the_last_lines_are_not_lost_where_somebody_reads(unread: Unread) -> None:
    unread.process.send_signal(signal.SIGTERM)
    await unread.until("server.stopped")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, LEAST_PIPE)
    yield reading, writing
    for end in (reading, writing):
        with contextlib.suppress(OSError):
            os.close(end)


def test_a_bounded_number_of_bytes_waits_and_the_rest_is_dropped_and_counted(pipe: tuple[int, int]) -> None:
    told: list[int] = []
    output = StderrWriter(pipe[1], told.append, max_bytes=50_000)
    output.start()
    for number in range(1000):
        output.write(f"{number:99}\n")
    assert output._put_bytes - output._done_bytes <= 50_000
    assert told == []
    assert not output.finish(0.1)
    os.set_blocking(pipe[0], False)
    text = b""
    deadline = time.monotonic() + 20
    while len(text) // 100 + sum(told) < 1000 and time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError):
            text += os.read(pipe[0], 1 << 16)
        time.sleep(0.001)
    lines = text.splitlines()
    assert lines == [f"{number:99}".encode() for number in range(len(lines))], "whole, and the first ones"
    assert len(lines) + sum(told) == 1000


def test_pieces_of_a_line_go_out_as_one(pipe: tuple[int, int]) -> None:
    output = StderrWriter(pipe[1], lambda _: None)
    output.start()
    print("Traceback", "of", "…", 1, file=output)
    print("\udcff", file=output)
    assert output.finish()
    assert os.read(pipe[0], 1000) == "Traceback of … 1\n\\udcff\n".encode()


def test_a_reader_that_is_gone_costs_no_processor_time(pipe: tuple[int, int]) -> None:
    output = StderrWriter(pipe[1], lambda _: None)
    output.start()
    os.close(pipe[0])
    output.write("for nobody\n")
    assert output.finish()
    wait_until(lambda: output._failed == 1, 20, "the line to be counted")
    taken: list[float] = []  # what else is in the process may have some of one, but not of each
    while not taken or (taken[-1] >= 0.1 and len(taken) < 5):
        before = time.process_time()
        time.sleep(0.5)
        taken.append(time.process_time() - before)
    assert taken[-1] < 0.1, taken


def test_long_lines_of_several_processes_stay_whole(pipe: tuple[int, int]) -> None:
    children = []
    for letter in "ab":
        child = os.fork()
        if child == 0:
            output = StderrWriter(pipe[1], lambda _: None)
            output.start()
            for _ in range(30):
                output.write(letter * 10_000 + "\n")
                output.write(letter + "\n")
            output.finish(20)
            os._exit(0)
        children.append(child)
    os.close(pipe[1])
    text = b""
    while data := os.read(pipe[0], 1 << 16):
        text += data
    for child in children:
        os.waitpid(child, 0)
    assert len(text.splitlines()) == 120
    assert {line.strip(line[:1]) for line in text.splitlines()} == {b""}
