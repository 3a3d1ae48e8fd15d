"""Those who connect and do not log in: they cost little, they hold up nobody, and they leave nothing."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from typing import NoReturn

import asyncssh
import pytest

from tests.ssh.listener_harness import (
    PASSWORD,
    ListenerHarness,
    closed_by_server,
    listener_harness,
    open_descriptors,
    read_kexinit,
    reset,
)

pytestmark = pytest.mark.slow

QUICK = {"login_grace": 3.0}
"""Seconds: a good login takes a tenth of one, and has to be within them on a machine that is held up, too."""


async def good_login(harness: ListenerHarness, source: str = "127.0.0.9") -> None:
    """Log in and leave. It is let in before the end of the grace, or it fails; with the default that is two
    minutes, of which the client waits for 20 s."""
    (await harness.connect(password=PASSWORD, source=source)).close()


async def greeted(reader: asyncio.StreamReader, seconds: float = 20) -> bool:
    """Whether the server says its version within the time."""
    try:
        async with asyncio.timeout(seconds):
            return (await reader.readline()).startswith(b"SSH-2.0-")
    except (TimeoutError, ConnectionError):
        return False


async def test_of_one_source_so_many_are_served_before_login_and_more_wait_without_costing_more() -> None:
    async with listener_harness(ssh={"max_unauthenticated_per_source": 10}) as harness:
        sockets = [await harness.socket("127.0.0.2") for _ in range(12)]
        greetings = [asyncio.create_task(greeted(reader, 600)) for reader, _ in sockets]
        async with asyncio.timeout(20):
            while sum(greeting.done() for greeting in greetings) < 10:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)  # time enough for more to be greeted
        answers = [greeting.done() and greeting.result() for greeting in greetings]
        assert answers.count(True) == 10
        assert harness.listener.connections == 10
        await good_login(harness)
        reset(sockets[answers.index(True)][1])
        waiting = [greeting for greeting, served in zip(greetings, answers, strict=True) if not served]
        done, others = await asyncio.wait(waiting, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        assert all(greeting.result() for greeting in done)
        assert done
        for greeting in others:
            greeting.cancel()
        for _, writer in sockets:
            reset(writer)


async def test_one_that_waits_and_gives_up_leaves_nothing() -> None:
    async with listener_harness(ssh={"max_unauthenticated_per_source": 1, "max_queued": 1}) as harness:
        _, first = await harness.socket()
        async with asyncio.timeout(20):
            while not harness.listener.connections:
                await asyncio.sleep(0.01)
        for _ in range(3):
            reader, writer = await harness.socket()
            assert not await closed_by_server(reader, 0.2), "it waits"
            reset(writer)
            async with asyncio.timeout(20):
                while waiting(harness):
                    await asyncio.sleep(0.02)
        assert not harness.logged("connection.refused")
        reset(first)
        await harness.empties()


@pytest.mark.parametrize("said", [b"SSH-2.0-x\r\n", b"SSH-"], ids=["version", "a part of it"])
@pytest.mark.parametrize("how", ["closed", "reset"])
async def test_one_that_has_sent_its_version_waits_and_gives_up_leaves_nothing(said: bytes, how: str) -> None:
    async with listener_harness(ssh={"max_unauthenticated_per_source": 1, "max_queued": 1}) as harness:
        reader, first = await harness.socket()
        assert await greeted(reader)
        first.write(b"SSH-2.0-first\r\n")
        for _ in range(3):
            reader, writer = await harness.socket()
            writer.write(said)
            assert not await closed_by_server(reader, 0.3), "it waits"
            if how == "reset":
                reset(writer)
            else:
                writer.close()
            async with asyncio.timeout(20):
                while waiting(harness):
                    await asyncio.sleep(0.02)
        assert not harness.logged("connection.refused")
        reset(first)
        await harness.empties()


def waiting(harness: ListenerHarness) -> int:
    own = harness.listener._own
    assert own is not None
    return len(own._acceptor._waiting)


async def test_one_that_waits_for_longer_than_a_login_may_take_is_refused_with_the_reason() -> None:
    async with listener_harness(ssh={"max_unauthenticated_per_source": 1, "login_grace": 1.0}) as harness:
        first, *others = [await harness.socket() for _ in range(3)]
        async with asyncio.timeout(20):  # silent, but nobody who is not waits for the place
            while not harness.logged("connection.refused"):
                await asyncio.sleep(0.02)
        (refused,) = harness.logged("connection.refused")[:1]
        assert refused["reason"] == "waited too long for its turn to log in"
        for _, writer in (first, *others):
            reset(writer)


async def test_silent_sockets_make_room_for_a_login_of_the_same_address() -> None:
    async with listener_harness() as harness:
        sockets = [await harness.socket("127.0.0.9") for _ in range(400)]
        await asyncio.sleep(1.0)
        await good_login(harness, "127.0.0.9")
        for _, writer in sockets:
            reset(writer)


async def test_a_byte_now_and_then_is_no_version_and_makes_room_for_a_login_of_the_same_address() -> None:
    async with listener_harness() as harness:
        sockets = [await harness.socket("127.0.0.9") for _ in range(100)]
        for _ in range(11):
            for _, writer in sockets:
                writer.write(b"S")
            await asyncio.sleep(0.1)
        await good_login(harness, "127.0.0.9")
        for _, writer in sockets:
            reset(writer)


async def test_logins_of_one_address_all_get_in_however_many_come_at_once() -> None:
    async with listener_harness(ssh={"max_unauthenticated_per_source": 3}) as harness:
        connections = await asyncio.gather(*(harness.connect() for _ in range(60)))
        assert harness.listener.connections == 60
        for connection in connections:
            connection.close()
        await harness.empties()


async def test_addresses_that_stand_for_many_clients_are_not_banned_and_not_limited_as_one() -> None:
    limits = {
        "max_unauthenticated_per_source": 1,
        "max_auth_attempts": 1,
        "shared_sources": ("127.0.0.0/30",),
    }
    async with listener_harness(ssh=limits, auth={"ban_failures": 1}) as harness:
        sockets = [await harness.socket("127.0.0.2") for _ in range(5)]
        assert all(await asyncio.gather(*(greeted(reader) for reader, _ in sockets)))
        for source in ("127.0.0.2", "127.0.0.4"):
            with pytest.raises(asyncssh.Error):
                await harness.connect(password="wrong", source=source)
        await good_login(harness, "127.0.0.2")
        with pytest.raises((asyncssh.Error, ConnectionError)):
            await harness.connect(source="127.0.0.4")
        assert [event["source"] for event in harness.logged("source.banned")] == ["127.0.0.4"]
        for _, writer in sockets:
            reset(writer)


@pytest.mark.alone
async def test_400_silent_sockets_hold_up_nobody_and_are_all_closed_by_the_end_of_the_grace() -> None:
    async with listener_harness(ssh=QUICK) as harness:
        await asyncio.sleep(0)
        before = open_descriptors()
        sockets = await asyncio.gather(*(harness.socket(f"127.0.1.{n % 50 + 1}") for n in range(400)))
        assert harness.listener.connections <= 100
        await good_login(harness)
        closed = await asyncio.gather(*(closed_by_server(reader) for reader, _ in sockets))
        assert all(closed)
        for _, writer in sockets:
            reset(writer)
        await harness.empties()
        async with asyncio.timeout(20):
            while open_descriptors() > before:
                await asyncio.sleep(0.02)


async def test_silent_sockets_from_everywhere_make_room_for_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3sftp.ssh.admission.PROTECTED_SECONDS", 0.2)
    async with listener_harness(ssh={"max_unauthenticated": 5}, log_level="debug") as harness:
        sockets = [await harness.socket(f"127.0.1.{n + 1}") for n in range(5)]
        await asyncio.sleep(0.3)
        await good_login(harness)
        assert await closed_by_server(sockets[0][0])
        assert harness.logged("connection.aborted")[0]["reason"] == "made room for others before login"
        for _, writer in sockets:
            reset(writer)


async def test_a_byte_now_and_then_does_not_stretch_the_grace() -> None:
    async with listener_harness(ssh=QUICK) as harness:
        began = time.perf_counter()
        reader, writer = await harness.socket()
        closing = asyncio.create_task(closed_by_server(reader))
        while not closing.done():
            writer.write(b"S")
            await asyncio.sleep(0.1)
        assert await closing
        assert time.perf_counter() - began > 2.9
        reset(writer)


async def test_stopping_in_the_key_exchange_is_closed_by_the_grace() -> None:
    async with listener_harness(ssh=QUICK) as harness:
        reader, writer = await harness.socket()
        writer.write(await read_kexinit(reader, writer))
        assert await closed_by_server(reader)
        reset(writer)


async def test_a_flood_of_key_exchange_openings_is_cut_off() -> None:
    async with listener_harness(ssh=QUICK) as harness:
        reader, writer = await harness.socket()
        opening = await read_kexinit(reader, writer)
        for _ in range(1000):
            writer.write(opening)
        assert await closed_by_server(reader)
        await good_login(harness)
        reset(writer)


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"SSH-1.5-old\r\n",
        b"\x16\x03\x01\x02\x00" * 100,
        b"A" * 100_000,
        b"SSH-2.0-x\r\n" + b"\xff" * 64,
        b"SSH-2.0-x\r\n" + b"\0\0\0\x0c\x0a\x05" + b"\0" * 60,
    ],
)
async def test_what_is_not_ssh_is_closed_and_hurts_nobody(noise: bytes) -> None:
    async with listener_harness(ssh=QUICK) as harness:
        reader, writer = await harness.socket("127.0.0.2")
        writer.write(noise)
        assert await closed_by_server(reader)
        await good_login(harness)
        assert not [event for event in harness.events if event["log_level"] == "error"]
        reset(writer)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_when_nothing_can_be_accepted_that_is_said_once_and_tried_again_after_a_pause(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []

    def accept(_self: socket.socket) -> NoReturn:
        tries.append(time.monotonic())
        raise OSError(number, os.strerror(number))

    async with listener_harness() as harness:
        with monkeypatch.context() as broken:
            broken.setattr(socket.socket, "accept", accept)
            login = asyncio.create_task(good_login(harness))
            await asyncio.sleep(1.1)
            async with asyncio.timeout(20):
                while len(tries) < 2:
                    await asyncio.sleep(0.01)
            assert len(tries) <= 1 + 6 * (time.monotonic() - tries[0]) / 1.1
            assert [event["error"] for event in harness.logged("listener.paused")] == [
                f"[Errno {number}] {os.strerror(number)}"
            ]
        await login
        assert len(harness.logged("listener.resumed")) == 1
