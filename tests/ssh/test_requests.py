"""Nothing but sftp: every other request is refused, and the log says so."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncssh
import pytest

from tests.ssh.gatehouse import Gatehouse, gatehouse


def refused(house: Gatehouse) -> set[str]:
    return {event["request"] for event in house.told("request refused")}


@pytest.mark.parametrize(("command", "kind"), [("md5sum file", "exec"), (None, "shell")])
async def test_commands_and_shells_are_refused(command: str | None, kind: str) -> None:
    async with gatehouse() as house, await house.connect() as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.create_process(command)
        assert refused(house) == {kind}


async def test_other_subsystems_are_refused() -> None:
    async with gatehouse() as house, await house.connect() as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_session(subsystem="netconf")
        async with connection.start_sftp_client() as sftp:
            assert await sftp.exists("/")


async def test_environment_variables_and_terminals_are_refused_and_not_kept() -> None:
    async with gatehouse() as house, await house.connect() as connection:
        channel, _ = await connection.create_session(
            asyncssh.SSHClientSession, subsystem="sftp", encoding=None
        )
        for kind, arguments in (
            ("env", ("LD_PRELOAD", "x")),
            ("pty-req", ("xterm", 80, 24, 0, 0, "")),
            ("env", ("A", "b")),
        ):
            assert not await ask(channel, kind, arguments)
        assert refused(house) == {"env", "pty"}
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
    async with gatehouse() as house, await house.connect() as connection:
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
        assert refused(house) >= {
            "direct-tcpip",
            "tcpip-forward",
            "direct-streamlocal",
            "streamlocal-forward",
            "tun",
            "tap",
        }


async def test_agents_and_x11_are_refused() -> None:
    async with gatehouse() as house, await house.connect() as connection:
        channel, _ = await connection.create_session(
            asyncssh.SSHClientSession, subsystem="sftp", encoding=None
        )
        assert not await ask(channel, "auth-agent-req@openssh.com", ())
        assert not await ask(channel, "x11-req", ("", "MIT-MAGIC-COOKIE-1", "00", 0))
        assert refused(house) == {"agent", "x11"}
        channel.close()


@pytest.mark.parametrize("kind", [80, 90, 98])
async def test_a_request_before_login_ends_the_connection(kind: int) -> None:
    async with gatehouse() as house:
        begun = asyncio.Event()

        class Early(asyncssh.SSHClient):
            def connection_made(self, conn: Any) -> None:
                self.conn = conn

            def begin_auth(self, username: str) -> None:
                self.conn._auth_complete = True  # or it would keep the packet until it has logged in
                self.conn.send_packet(kind, b"\0\0\0\7session" + b"\0" * 12)
                self.conn._auth_complete = False
                begun.set()

        with pytest.raises((asyncssh.DisconnectError, ConnectionError)):
            await house.connect(client_factory=Early)
        assert begun.is_set()
        assert not house.told("logged in")
