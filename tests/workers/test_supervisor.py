"""The supervisor with workers that misbehave, and the line between them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.auth import AuthOptions, Offence
from s3sftp.ssh import ListenOptions, ServerAdmissionGate, SshOptions
from s3sftp.workers import HeartbeatPolicy, Supervisor, TemplateClient, WorkersFailed, WorkerSpec, messages
from s3sftp.workers.child_process import ChildProcess
from s3sftp.workers.ipc import IpcConnection, ipc_socket_pair
from s3sftp.workers.template import CannotStartWorker, adopt_orphans, fork_template
from tests.support.logs import capture_events


class Watched:
    """A supervisor in this process while it runs."""

    def __init__(self, events: list[Mapping[str, Any]], supervisor: Supervisor) -> None:
        self._events = events
        self.opened = asyncio.Event()
        self.running = asyncio.create_task(supervisor.run(opened=self.opened.set))

    def logged(self, event: str) -> list[Mapping[str, Any]]:
        return [entry for entry in self._events if entry["event"] == event]

    async def until(self, event: str, count: int = 1) -> Mapping[str, Any]:
        """Wait until something has been logged so often."""
        async with asyncio.timeout(20):
            while len(self.logged(event)) < count:
                assert not self.running.done() or self.logged(event)
                await asyncio.sleep(0.01)
        return self.logged(event)[count - 1]

    async def greeting(self) -> bytes:
        """Connect, and read what a worker says."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.logged("server.listening")[0]["port"]
        )
        try:
            async with asyncio.timeout(20):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@asynccontextmanager
async def supervised(
    *vices: str, drain: float = 0.2, hurry: float = 0.3, limit: float = 0.0
) -> AsyncIterator[Watched]:
    """Workers with these vices, which may hang for `limit` seconds, or for ever; ends with the supervisor
    told to stop and everybody gone."""

    def command(requests: int) -> Sequence[str]:
        return [sys.executable, "-m", "tests.workers.faulty_workers", str(requests), *vices]

    async def start(number: int, link: socket.socket) -> ChildProcess:
        return await template.start(number, [link.fileno()])

    adopt_orphans()
    template = TemplateClient(command)
    with capture_events("debug") as events:
        supervisor = Supervisor(
            ListenOptions(host="127.0.0.1", port=0),
            ServerAdmissionGate(SshOptions(), AuthOptions()),
            WorkerSpec(len(vices), start, heartbeat=HeartbeatPolicy.of(limit)),
            drain,
            hurry,
        )
        watched = Watched(events, supervisor)
        try:
            yield watched
        finally:
            if not watched.running.done():
                os.kill(os.getpid(), signal.SIGTERM)
            with contextlib.suppress(WorkersFailed):
                await asyncio.wait_for(watched.running, 20)
            await template.close()
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                asyncio.get_running_loop().remove_signal_handler(number)
            for started in watched.logged("worker.started"):
                assert not os.path.exists(f"/proc/{started['pid']}")


async def test_a_worker_that_neither_hears_nor_ends_is_killed() -> None:
    # time enough for the one that hears, on a machine that is busy
    async with supervised("greeter", "deaf", drain=2, hurry=2) as watched:
        await watched.until("worker.available", 2)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(watched.running, 20)
        assert [event["worker"] for event in watched.logged("worker.killed")] == [2]


async def test_that_no_process_can_be_started_is_told_with_the_limits_that_it_may_be() -> None:
    async def start(_number: int, _link: socket.socket) -> ChildProcess:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    supervisor = Supervisor(
        ListenOptions(host="127.0.0.1", port=0),
        ServerAdmissionGate(SshOptions(), AuthOptions()),
        WorkerSpec(1, start),
        1,
        1,
    )
    with pytest.raises(CannotStartWorker, match=r"Resource temporarily unavailable: .* \(ulimit -u, pids\)"):
        await supervisor.run()


def test_that_no_template_can_be_forked_is_told_so_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", fork)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with pytest.raises(CannotStartWorker, match="limits of processes"):
        fork_template(lambda _number, _descriptors: None)
    gc.unfreeze()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


async def test_what_begins_with_the_port_waits_for_no_worker_that_does_not_come_up() -> None:
    """Such as looking for users that have changed: the first worker serves for as long."""
    async with supervised("greeter", "mute") as watched:
        async with asyncio.timeout(20):
            await watched.opened.wait()
        assert await watched.greeting() == b"1\n"
        assert len(watched.logged("worker.available")) == 1


async def test_a_first_worker_that_cannot_start_ends_the_server_with_its_status() -> None:
    async with supervised("dying", "greeter") as watched:
        with pytest.raises(WorkersFailed) as failed:
            await asyncio.wait_for(watched.running, 20)
        assert failed.value.status == 3
        assert len(watched.logged("worker.started")) == 1


async def test_a_worker_that_keeps_dying_is_tried_again_a_little_later_each_time() -> None:
    # it hangs up before it ends, and how long it takes to end must not matter
    async with supervised("greeter", "dying", drain=20) as watched:
        await watched.until("worker.exited", 3)
        pauses = [event["restart_seconds"] for event in watched.logged("worker.exited")]
        assert pauses == sorted(set(pauses))
        assert {event["status"] for event in watched.logged("worker.exited")} == {3}
        assert await watched.greeting() == b"1\n"


async def test_a_worker_that_says_what_none_says_is_given_nothing() -> None:
    async with supervised("greeter", "babbler") as watched:
        await watched.until("worker.message_invalid")
        assert [await watched.greeting() for _ in range(3)] == [b"1\n"] * 3


async def test_connections_wait_for_a_new_worker_when_there_is_none() -> None:
    async with supervised("fading") as watched:
        await watched.until("server.listening")
        assert await watched.greeting() == b""
        second = asyncio.create_task(watched.greeting())
        await watched.until("worker.available", 2)
        assert await second == b""  # it was handed to the second one, which faded too
        await watched.until("worker.exited", 2)


async def test_workers_have_their_turn_while_equally_busy() -> None:
    async with supervised("greeter", "greeter", "greeter") as watched:
        await watched.until("worker.available", 3)
        said = [await watched.greeting() for _ in range(9)]
        assert sorted(said) == [b"1\n"] * 3 + [b"2\n"] * 3 + [b"3\n"] * 3


async def test_signals_come_in_again_when_several_workers_were_started_at_once() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    async with supervised("greeter", "greeter", "greeter", "greeter") as watched:
        await watched.until("worker.available", 4)
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


async def test_a_side_that_does_not_read_holds_up_nobody_and_loses_nothing() -> None:
    mine, its = ipc_socket_pair()
    link = IpcConnection(mine, lambda *_: None, lambda: None)
    for number in range(5000):
        link.send(messages.VersionReceived(number))
    assert link.blocked
    heard: list[messages.IpcMessage] = []
    other = IpcConnection(its, lambda message, _: heard.append(message), lambda: None)
    async with asyncio.timeout(20):
        while len(heard) < 5000:
            await asyncio.sleep(0.01)
    assert heard == [messages.VersionReceived(number) for number in range(5000)]
    assert not link.blocked
    link.close()
    other.close()


async def test_the_end_of_one_side_is_told_to_the_other_once_and_what_is_carried_is_closed() -> None:
    mine, its = ipc_socket_pair()
    ended: list[bool] = []
    link = IpcConnection(mine, lambda *_: None, lambda: ended.append(True))
    its.close()
    carried, far = socket.socketpair()
    link.send(messages.ServeConnection(1, "192.0.2.1", 50000, "", False), carried)
    async with asyncio.timeout(20):
        while not ended:
            await asyncio.sleep(0.01)
    link.send(messages.VersionReceived(1))
    await asyncio.sleep(0)
    assert ended == [True]
    assert carried.fileno() == -1
    far.close()


async def test_a_socket_goes_over_with_its_message() -> None:
    mine, its = ipc_socket_pair()
    heard: list[tuple[messages.IpcMessage, int | None]] = []
    link = IpcConnection(mine, lambda *_: None, lambda: None)
    other = IpcConnection(its, lambda *both: heard.append(both), lambda: None)
    carried, far = socket.socketpair()
    sent = messages.ServeConnection(7, "192.0.2.1", 50000, "10.0.0.1:40000", False)
    link.send(sent, carried)
    async with asyncio.timeout(20):
        while not heard:
            await asyncio.sleep(0.01)
    ((message, descriptor),) = heard
    assert message == sent
    assert descriptor is not None
    assert not os.get_inheritable(descriptor)
    with socket.socket(fileno=descriptor) as arrived:
        arrived.send(b"hello")
    assert far.recv(10) == b"hello"
    for each in (link, other, far):
        each.close()


NUMBERS = st.integers(0, 1 << 40)
MESSAGES = st.one_of(
    *(
        st.builds(kind, NUMBERS)
        for kind in (messages.VersionReceived, messages.SessionClosed, messages.ConnectionClosed)
    ),
    st.builds(
        messages.ServeConnection, NUMBERS, st.text(max_size=45), NUMBERS, st.text(max_size=60), st.booleans()
    ),
    st.builds(messages.LoginAnswer, NUMBERS, st.text(max_size=100)),
    *(st.builds(kind, NUMBERS, st.booleans()) for kind in (messages.PasswordAnswer, messages.OffenceAnswer)),
    st.builds(messages.LoggedIn, NUMBERS, st.text(max_size=100), st.text(max_size=100)),
    st.builds(messages.TryPassword, NUMBERS, st.text(max_size=100), st.booleans()),
    st.builds(
        messages.Offended,
        NUMBERS,
        st.sampled_from([str(each) for each in Offence]),
        st.text(max_size=100),
        st.booleans(),
    ),
    st.builds(messages.SessionAnswer, NUMBERS, st.text(max_size=100)),
    st.builds(messages.OpenSession, NUMBERS, NUMBERS),
    st.sampled_from([messages.StopWorker(), messages.WorkerReady(), messages.Ping(), messages.Pong()]),
)


@given(MESSAGES)
def test_a_message_arrives_as_it_was_sent(message: messages.IpcMessage) -> None:
    assert messages.decode(messages.encode(message)) == message


@given(
    st.binary(max_size=60) | st.sampled_from([b"{}", b"[]", b'["Serve"]', b'["Serve", "1"]', b'["Stop", 1]'])
)
def test_what_is_no_message_is_refused(packet: bytes) -> None:
    with pytest.raises(messages.BadIpcMessage):
        messages.decode(packet)
