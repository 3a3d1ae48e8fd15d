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


async def closes(harness: ListenerHarness) -> None:
    _, writer = await harness.socket()
    writer.close()
    await writer.wait_closed()


async def resets(harness: ListenerHarness) -> None:
    _, writer = await harness.socket()
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.close()


async def closes_when_it_has_seen_the_version(harness: ListenerHarness) -> None:
    reader, writer = await harness.socket()
    assert (await reader.readline()).startswith(b"SSH-2.0-")
    writer.close()


async def asks_for_a_page(harness: ListenerHarness) -> None:
    reader, writer = await harness.socket()
    writer.write(b"GET / HTTP/1.1\r\nHost: sftp.example.com\r\n\r\n")
    await reader.readline()
    writer.close()


async def sends_noise(harness: ListenerHarness) -> None:
    reader, writer = await harness.socket()
    writer.write(bytes(range(256)) * 8)
    await reader.readline()
    writer.close()


def lines(harness: ListenerHarness) -> list[Mapping[str, Any]]:
    """What is told to who does not look at details."""
    return [event for event in harness.events if event["log_level"] != "debug"]


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
    async with listener_harness(auth={"ban_failures": 0}) as harness:  # of bans test_defender.py tells
        before = len(lines(harness))
        for _ in range(PROBES):
            await probe(harness)
        await harness.empties()
        told = lines(harness)[before:]
        assert [line["event"] for line in told] == ["connection.no_client"]
        assert (told[0]["connections"], told[0]["sent"]) == (1, sent)
        # ten minutes later the next one says how many there were
        clock = asyncio.get_running_loop().time
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock() + 700)
        await probe(harness)
        await harness.empties()
        told = [line for line in lines(harness)[before:] if line["event"] == "connection.no_client"]
        assert [line["connections"] for line in told] == [1, PROBES]


async def test_one_that_stays_silent_until_it_is_closed_leaves_no_line_of_its_own() -> None:
    async with listener_harness(ssh={"login_grace": "1 s"}) as harness:
        before = len(lines(harness))
        waiting = [await harness.socket() for _ in range(5)]
        await harness.empties()
        assert [line["event"] for line in lines(harness)[before:]] == ["connection.no_client"]
        for _, writer in waiting:
            writer.close()


async def test_a_client_that_fails_before_it_logs_in_is_told_of() -> None:
    async with listener_harness() as harness:
        with pytest.raises(asyncssh.KeyExchangeFailed):
            await asyncssh.connect(
                "127.0.0.1",
                harness.port,
                known_hosts=None,
                config=None,
                kex_algs=["diffie-hellman-group1-sha1"],
            )
        await harness.empties()
        told = [line["event"] for line in lines(harness)]
        assert "connection.negotiation_failed" in told
        (closed,) = [line for line in lines(harness) if line["event"] == "connection.closed"]
        assert closed["peer"].startswith("127.0.0.1:")
        assert "connection.no_client" not in told


async def test_a_client_that_hangs_up_behind_its_version_is_told_of() -> None:
    async with listener_harness() as harness:
        reader, writer = await harness.socket()
        await reader.readline()
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n")
        await writer.drain()
        writer.close()
        await harness.empties()
        told = [line["event"] for line in lines(harness)]
        assert told[-2:] == ["connection.identified", "connection.closed"]
