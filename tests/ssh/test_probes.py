"""Connections without a client, such as load balancers make every few seconds: one line tells of many."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncssh
import pytest

from tests.ssh.listener_harness import ListenerHarness, listener_harness

PROBES = 40


async def closes(house: ListenerHarness) -> None:
    _, writer = await house.socket()
    writer.close()
    await writer.wait_closed()


async def resets(house: ListenerHarness) -> None:
    _, writer = await house.socket()
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.close()


async def closes_when_it_has_seen_the_version(house: ListenerHarness) -> None:
    reader, writer = await house.socket()
    assert (await reader.readline()).startswith(b"SSH-2.0-")
    writer.close()


async def asks_for_a_page(house: ListenerHarness) -> None:
    reader, writer = await house.socket()
    writer.write(b"GET / HTTP/1.1\r\nHost: sftp.example.com\r\n\r\n")
    await reader.readline()
    writer.close()


async def sends_noise(house: ListenerHarness) -> None:
    reader, writer = await house.socket()
    writer.write(bytes(range(256)) * 8)
    await reader.readline()
    writer.close()


def lines(house: ListenerHarness) -> list[Mapping[str, Any]]:
    """What is told to who does not look at details."""
    return [event for event in house.events if event["log_level"] != "debug"]


@pytest.mark.parametrize(
    ("probe", "sent"),
    [
        (closes, "nothing"),
        (resets, "nothing"),
        (closes_when_it_has_seen_the_version, "nothing"),
        (asks_for_a_page, "something else"),
        (sends_noise, "something else"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_many_probes_leave_one_line(
    probe: Callable[[ListenerHarness], Awaitable[None]], sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listener_harness() as house:
        before = len(lines(house))
        for _ in range(PROBES):
            await probe(house)
        await house.empties()
        told = lines(house)[before:]
        assert [line["event"] for line in told] == ["connection.no_client"]
        assert (told[0]["connections"], told[0]["sent"]) == (1, sent)
        # ten minutes later the next one says how many there were
        clock = asyncio.get_running_loop().time
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock() + 700)
        await probe(house)
        await house.empties()
        told = [line for line in lines(house)[before:] if line["event"] == "connection.no_client"]
        assert [line["connections"] for line in told] == [1, PROBES]


async def test_one_that_stays_silent_until_it_is_closed_leaves_no_line_of_its_own() -> None:
    async with listener_harness(ssh={"login_grace": "1 s"}) as house:
        before = len(lines(house))
        waiting = [await house.socket() for _ in range(5)]
        await house.empties()
        assert [line["event"] for line in lines(house)[before:]] == ["connection.no_client"]
        for _, writer in waiting:
            writer.close()


async def test_a_client_that_fails_before_it_logs_in_is_told_of() -> None:
    async with listener_harness() as house:
        with pytest.raises(asyncssh.KeyExchangeFailed):
            await asyncssh.connect(
                "127.0.0.1",
                house.port,
                known_hosts=None,
                config=None,
                kex_algs=["diffie-hellman-group1-sha1"],
            )
        await house.empties()
        told = [line["event"] for line in lines(house)]
        assert "connection.negotiation_failed" in told
        (closed,) = [line for line in lines(house) if line["event"] == "connection.closed"]
        assert closed["peer"].startswith("127.0.0.1:")
        assert "connection.no_client" not in told


async def test_a_client_that_hangs_up_behind_its_version_is_told_of() -> None:
    async with listener_harness() as house:
        reader, writer = await house.socket()
        await reader.readline()
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
        await writer.drain()
        writer.close()
        await house.empties()
        told = [line["event"] for line in lines(house)]
        assert told[-2:] == ["connection.identified", "connection.closed"]
