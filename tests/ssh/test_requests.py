"""Nothing but sftp: every other request is refused, and the log says so."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh import constants as ssh
from asyncssh.packet import Boolean, String, UInt32

from s3sftp.ssh import sftp_only
from tests.ssh.listener_harness import (
    ALICES_KEY,
    HOST_KEY,
    PASSWORD,
    ListenerHarness,
    listener_harness,
    write_key,
)
from tests.support.commands import Result, installed, run

SENTENCE = "This server speaks SFTP only."


def refused(harness: ListenerHarness) -> set[str]:
    return {event["request"] for event in harness.logged("connection.request_refused")}


@pytest.mark.parametrize(("command", "kind"), [("md5sum file", "exec"), (None, "shell")])
async def test_commands_and_shells_are_refused(command: str | None, kind: str) -> None:
    async with listener_harness() as harness, await harness.connect() as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.create_process(command)
        assert refused(harness) == {kind}


async def test_other_subsystems_are_refused() -> None:
    async with listener_harness() as harness, await harness.connect() as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_session(subsystem="netconf")
        async with connection.start_sftp_client() as sftp:
            assert await sftp.exists("/")


class Channel:
    """A session channel by its messages: what the client sends as it likes, and what comes back."""

    def __init__(self, connection: asyncssh.SSHClientConnection, channel: Any) -> None:
        self._connection = connection
        self.number = UInt32(channel._send_chan)
        self.came: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        channel._packet_handlers = dict.fromkeys(range(93, 101), self._receive)

    def _receive(self, _channel: Any, kind: int, _seq: int, packet: Any) -> None:
        self.came.put_nowait((kind, packet.get_remaining_payload()))

    def ask(self, request: str, *arguments: bytes, reply: bool = True) -> None:
        fields = self.number, String(request), Boolean(reply), *arguments
        self._connection.send_packet(ssh.MSG_CHANNEL_REQUEST, *fields)

    async def ping(self) -> None:
        """Wait until the server has taken what was sent, and what it sent before has come."""
        await self._connection._make_global_request(b"keepalive@openssh.com")

    async def next(self) -> tuple[int, bytes]:
        return await asyncio.wait_for(self.came.get(), 20)

    async def its_end(self) -> list[tuple[int, bytes]]:
        """All that comes until the server closes it."""
        messages = [await self.next()]
        while messages[-1][0] != ssh.MSG_CHANNEL_CLOSE:
            messages.append(await self.next())
        return messages


@asynccontextmanager
async def bare_channel(harness: ListenerHarness, **options: Any) -> AsyncIterator[Channel]:
    """One on which nothing was asked for, beside an SFTP session that must go on working."""
    async with await harness.connect(**options) as connection, connection.start_sftp_client() as sftp:
        channel: Any = asyncssh.channel.SSHClientChannel(
            connection, asyncio.get_running_loop(), "strict", None, "strict", 1 << 20, 1 << 15
        )
        await channel._open(b"session")
        yield Channel(connection, channel)
        assert await asyncio.wait_for(sftp.exists("/"), 20)


def told_of_the_end(*, failure: bool) -> list[tuple[int, bytes]]:
    said = UInt32(1) + String(SENTENCE + "\r\n")
    return [
        (ssh.MSG_CHANNEL_EXTENDED_DATA, said),
        *([(ssh.MSG_CHANNEL_FAILURE, b"")] if failure else []),
        (ssh.MSG_CHANNEL_REQUEST, String("exit-status") + Boolean(False) + UInt32(1)),
        (ssh.MSG_CHANNEL_EOF, b""),
        (ssh.MSG_CHANNEL_CLOSE, b""),
    ]


EXEC, SHELL, NETCONF = ("exec", String("id -u")), ("shell",), ("subsystem", String("netconf"))


@pytest.mark.parametrize("reply", [True, False], ids=["asked for an answer", "not"])
@pytest.mark.parametrize("request_", [EXEC, SHELL], ids=["exec", "shell"])
async def test_what_is_refused_ends_its_channel(request_: tuple[Any, ...], reply: bool) -> None:
    async with listener_harness() as harness, bare_channel(harness) as channel:
        channel.ask("env", String("A"), String("b"), reply=False)
        channel.ask(*request_, reply=reply)
        assert await channel.its_end() == told_of_the_end(failure=reply)


async def test_a_subsystem_that_is_refused_without_an_answer_ends_its_channel() -> None:
    async with listener_harness() as harness, bare_channel(harness) as channel:
        channel.ask(*NETCONF, reply=False)
        assert await channel.its_end() == told_of_the_end(failure=False)


async def test_an_exec_may_follow_a_refused_subsystem_and_ends_the_channel() -> None:
    """As PuTTY falls back, on the same channel."""
    async with listener_harness() as harness, bare_channel(harness) as channel:
        channel.ask(*NETCONF)
        assert await channel.next() == (ssh.MSG_CHANNEL_FAILURE, b"")
        channel.ask(*EXEC)
        assert await channel.its_end() == told_of_the_end(failure=True)


async def test_the_sftp_subsystem_may_follow_a_refused_one() -> None:
    async with listener_harness() as harness, bare_channel(harness) as channel:
        channel.ask(*NETCONF)
        assert await channel.next() == (ssh.MSG_CHANNEL_FAILURE, b"")
        channel.ask("subsystem", String("sftp"))
        assert await channel.next() == (ssh.MSG_CHANNEL_SUCCESS, b"")


async def test_a_channel_on_which_nothing_follows_a_refused_subsystem_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sftp_only, "_FALLBACK_SECONDS", 0.1)
    async with listener_harness() as harness, bare_channel(harness) as channel:
        channel.ask(*NETCONF)
        assert await channel.next() == (ssh.MSG_CHANNEL_FAILURE, b"")
        assert await channel.its_end() == told_of_the_end(failure=False)


@pytest.mark.parametrize("second", [EXEC, SHELL, NETCONF, ("subsystem", String("sftp"))])
async def test_a_request_beside_a_running_session_is_refused_and_the_session_goes_on(
    second: tuple[Any, ...],
) -> None:
    async with listener_harness() as harness, bare_channel(harness) as channel:
        channel.ask("subsystem", String("sftp"))
        assert await channel.next() == (ssh.MSG_CHANNEL_SUCCESS, b"")
        channel.ask(*second)
        assert await channel.next() == (ssh.MSG_CHANNEL_FAILURE, b"")
        init = UInt32(5) + bytes([1]) + UInt32(3)
        channel._connection.send_packet(ssh.MSG_CHANNEL_DATA, channel.number, String(init))
        kind, data = await channel.next()
        assert (kind, data[8]) == (ssh.MSG_CHANNEL_DATA, 2), "VERSION"


async def test_requests_behind_a_refused_one_wait_nowhere() -> None:
    """A client that sends on and on while its channel ends is answered once."""
    async with listener_harness() as harness, bare_channel(harness) as channel:
        for _ in range(500):
            channel.ask(*EXEC)
        assert await channel.its_end() == told_of_the_end(failure=True)
        assert len(harness.logged("connection.request_refused")) == 1


async def test_a_client_that_does_not_say_that_it_has_shown_the_sentence_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sftp_only, "_SHOWN_SECONDS", 0.1)
    monkeypatch.setattr("s3sftp.ssh.asyncssh_internals.send_keepalive", lambda _conn: None)
    async with listener_harness() as harness, bare_channel(harness) as channel:
        channel.ask(*EXEC)
        assert await channel.its_end() == told_of_the_end(failure=True)


async def test_phpseclib_gets_the_failure_alone() -> None:
    """After it, the end of the channel would be an answer to its next request, and its last."""
    async with listener_harness() as harness:
        async with bare_channel(harness, client_version="phpseclib_3.0") as channel:
            channel.ask(*EXEC)
            assert [await channel.next() for _ in range(2)] == told_of_the_end(failure=True)[:2]
            await channel.ping()
            assert channel.came.empty()


class People:
    """Programs with which people come who want something else than SFTP."""

    def __init__(self, harness: ListenerHarness, home: Path) -> None:
        self._port, self._home = str(harness.port), home
        self._key = write_key(ALICES_KEY, home / "key")
        self._hosts = home / "known_hosts"
        host_key = HOST_KEY.export_public_key().decode()
        self._hosts.write_text(f"[127.0.0.1]:{self._port} {host_key}")

    async def _run(self, *command: str) -> Result:
        return (await run(command, {"HOME": str(self._home)})).failed()

    async def openssh(self, *words: str, terminal: bool = False) -> Result:
        options = {"UserKnownHostsFile": self._hosts, "IdentityFile": self._key, "IdentitiesOnly": "yes"}
        named = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        command = [installed("ssh"), "-F", "none", *named, "-p", self._port, *words]
        if terminal:
            command = [sys.executable, "-c", f"import pty; exit(pty.spawn({command!r}) >> 8)"]
        return await self._run(*command)

    async def putty(self, program: str, *words: str) -> Result:
        login = ["-batch", "-P", self._port, "-l", "alice", "-pw", PASSWORD]
        trusted = ["-hostkey", HOST_KEY.get_fingerprint()]
        return await self._run(installed(program), *login, *trusted, *words)

    async def dropbear(self, *words: str) -> Result:
        command = [installed("dbclient"), "-y", "-y", "-p", self._port, "alice@127.0.0.1", *words]
        return await run(command, {"HOME": str(self._home), "DROPBEAR_PASSWORD": PASSWORD})


@pytest.fixture
async def people(tmp_path: Path) -> AsyncIterator[People]:
    async with listener_harness() as harness:
        yield People(harness, tmp_path)


async def test_a_person_who_types_ssh_sees_why(people: People) -> None:
    assert SENTENCE in (await people.openssh("alice@127.0.0.1", terminal=True)).text
    assert SENTENCE in (await people.openssh("alice@127.0.0.1")).text


async def test_a_person_who_insists_on_a_terminal_sees_why(people: People) -> None:
    for command in ((), ("ls",)):
        said = await people.openssh("-tt", "alice@127.0.0.1", *command, terminal=True)
        assert SENTENCE in said.text


async def test_a_person_who_types_ssh_and_a_command_sees_why(people: People) -> None:
    for command in ("ls", "/usr/lib/openssh/sftp-server"):
        assert SENTENCE in (await people.openssh("alice@127.0.0.1", command)).text


async def test_a_person_who_wants_another_subsystem_is_not_kept_waiting(people: People) -> None:
    assert "subsystem request failed" in (await people.openssh("-s", "alice@127.0.0.1", "netconf")).text


async def test_plink_and_the_scp_of_putty_end(people: People) -> None:
    for program, words in (
        ("plink", ["127.0.0.1", "ls"]),
        ("pscp", ["-scp", "127.0.0.1:/x", "."]),
    ):
        said = (await people.putty(program, *words)).text
        assert SENTENCE in said or "refused to start" in said, said


async def test_dropbears_client_ends(people: People) -> None:
    assert SENTENCE in (await people.dropbear("ls")).text


async def test_environment_variables_are_refused_and_not_kept() -> None:
    async with listener_harness(log_level="debug") as harness, await harness.connect() as connection:
        channel, _ = await connection.create_session(
            asyncssh.SSHClientSession, subsystem="sftp", encoding=None
        )
        for arguments in (("LD_PRELOAD", "x"), ("A", "b")):
            assert not await ask(channel, "env", arguments)
        assert refused(harness) == {"env"}
        assert {entry["log_level"] for entry in harness.logged("connection.request_refused")} == {"debug"}
        channel.close()


async def test_a_terminal_is_granted_and_there_is_none() -> None:
    async with listener_harness() as harness, await harness.connect() as connection:
        channel, _ = await connection.create_session(
            asyncssh.SSHClientSession, subsystem="sftp", encoding=None
        )
        for _ in range(3):
            assert await ask(channel, "pty-req", ("xterm", 80, 24, 0, 0, ""))
            assert await ask(channel, "window-change", (100, 30, 0, 0))
        (served,) = harness.listener._shared.connections
        (kept,) = served._open_conn._channels.values()
        assert kept.get_terminal_type() is None
        assert kept.get_terminal_size() == (0, 0, 0, 0)
        assert not kept.get_terminal_modes()
        async with connection.start_sftp_client() as sftp:
            assert await sftp.listdir("/") == [".", ".."]
        channel.close()


async def ask(channel: Any, kind: str, values: tuple[Any, ...]) -> bool:
    """Send a channel request that wants an answer."""
    parts = [
        value.to_bytes(4, "big") if isinstance(value, int) else len(value).to_bytes(4, "big") + value.encode()
        for value in values
    ]
    answer: bool = await channel._make_request(kind.encode(), *parts)
    return answer


async def test_forwarding_of_ports_and_sockets_is_refused() -> None:
    async with listener_harness() as harness, await harness.connect() as connection:
        for attempt in (
            connection.open_connection("127.0.0.1", 1),
            connection.open_unix_connection("/run/x"),
            connection.open_tun(),
            connection.open_tap(),
        ):
            with pytest.raises(asyncssh.ChannelOpenError):
                await attempt
        for listening in (
            connection.start_server(lambda *_: None, "", 0),
            connection.start_unix_server(lambda *_: None, "/run/x"),
        ):
            with pytest.raises(asyncssh.ChannelListenError):
                await listening
        assert refused(harness) >= {
            "direct-tcpip",
            "tcpip-forward",
            "direct-streamlocal",
            "streamlocal-forward",
            "tun",
            "tap",
        }


async def test_agents_and_x11_are_refused() -> None:
    async with listener_harness(log_level="debug") as harness, await harness.connect() as connection:
        channel, _ = await connection.create_session(
            asyncssh.SSHClientSession, subsystem="sftp", encoding=None
        )
        assert not await ask(channel, "auth-agent-req@openssh.com", ())
        assert not await ask(channel, "x11-req", ("", "MIT-MAGIC-COOKIE-1", "00", 0))
        assert refused(harness) == {"agent", "x11"}
        levels = {
            entry["request"]: entry["log_level"] for entry in harness.logged("connection.request_refused")
        }
        assert levels == {"agent": "debug", "x11": "warning"}
        channel.close()
