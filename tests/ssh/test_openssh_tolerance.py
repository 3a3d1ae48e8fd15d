"""What clients send that they should not, or need not: it ends nothing that works."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest
from asyncssh import constants as ssh
from asyncssh.packet import Boolean, NameList, String, UInt32
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from s3sftp.ssh.options import SshOptions
from tests.ssh.listener_harness import PASSWORD, ListenerHarness, listener_harness, write_key
from tests.support.commands import installed, run

SESSION = String("session")
ANY_CHANNEL = UInt32(0)


async def works(sftp: asyncssh.SFTPClient) -> None:
    assert await asyncio.wait_for(sftp.listdir("/"), 20) == [".", ".."]


UNASKED = {
    "a failure": (ssh.MSG_REQUEST_FAILURE, b""),
    "a success with data": (ssh.MSG_REQUEST_SUCCESS, UInt32(22)),
    "a failure on a channel": (ssh.MSG_CHANNEL_FAILURE, ANY_CHANNEL),
    "a success on a channel": (ssh.MSG_CHANNEL_SUCCESS, ANY_CHANNEL),
    "a channel that nobody opened": (ssh.MSG_CHANNEL_OPEN_CONFIRMATION, ANY_CHANNEL + 3 * UInt32(9)),
    "a channel that nobody wanted": (
        ssh.MSG_CHANNEL_OPEN_FAILURE,
        ANY_CHANNEL + UInt32(1) + String("no") + String(""),
    ),
    "IGNORE without its string": (ssh.MSG_IGNORE, b""),
    "IGNORE with bytes behind it": (ssh.MSG_IGNORE, String("x") + b"y"),
    "DEBUG in Latin-1": (ssh.MSG_DEBUG, Boolean(True) + String(b"\xe9t\xe9") + String("fr")),
    "DEBUG without anything": (ssh.MSG_DEBUG, b""),
    "UNIMPLEMENTED without a number": (ssh.MSG_UNIMPLEMENTED, b""),
    "EXT_INFO after the login": (ssh.MSG_EXT_INFO, UInt32(0)),
    "an answer to a question of the login": (61, UInt32(1) + String(PASSWORD)),
    "a login after the login": (
        ssh.MSG_USERAUTH_REQUEST,
        String("bob") + String("ssh-connection") + String("none"),
    ),
}


@pytest.mark.parametrize("fast", [True, False], ids=["fast path", "asyncssh's"])
@pytest.mark.parametrize("name", UNASKED)
async def test_a_message_that_nobody_asked_for_ends_nothing(name: str, fast: bool) -> None:
    kind, data = UNASKED[name]
    async with listener_harness(ssh={"fast_packets": fast}) as harness, await harness.connect() as connection:
        async with connection.start_sftp_client() as sftp:
            for _ in range(3):
                connection.send_packet(kind, data)
            await works(sftp)
            async with connection.start_sftp_client() as another:
                await works(another)


@pytest.mark.parametrize("kind", [101, 120, 130, 200, 255])
async def test_a_message_of_an_unknown_type_is_answered_as_unimplemented(kind: int) -> None:
    async with listener_harness() as harness, await harness.connect() as connection:
        answered = asyncio.Event()
        unimplemented = {ssh.MSG_UNIMPLEMENTED: lambda *_: answered.set()}
        connection._packet_handlers = {**connection._packet_handlers, **unimplemented}  # type: ignore[misc]
        async with connection.start_sftp_client() as sftp:
            connection.send_packet(kind, UInt32(0xABCDEF))
            await asyncio.wait_for(answered.wait(), 20)
            await works(sftp)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cancel-tcpip-forward", String("0.0.0.0") + UInt32(22)),
        ("cancel-streamlocal-forward@openssh.com", String("/run/x")),
    ],
)
async def test_ending_a_forwarding_that_there_never_was_is_refused(name: str, data: bytes) -> None:
    async with listener_harness() as harness, await harness.connect() as connection:
        async with connection.start_sftp_client() as sftp:
            answer, _ = await connection._make_global_request(name.encode(), data)
            assert answer == ssh.MSG_REQUEST_FAILURE
            await works(sftp)
        assert [event["request"] for event in harness.logged("connection.request_refused")] == [
            name.partition("@")[0]
        ]


FOR_A_CHANNEL = {
    "WINDOW_ADJUST": (ssh.MSG_CHANNEL_WINDOW_ADJUST, UInt32(1 << 20)),
    "DATA": (ssh.MSG_CHANNEL_DATA, String("late")),
    "EXTENDED_DATA": (ssh.MSG_CHANNEL_EXTENDED_DATA, UInt32(1) + String("late")),
    "EOF": (ssh.MSG_CHANNEL_EOF, b""),
    "CLOSE": (ssh.MSG_CHANNEL_CLOSE, b""),
    "a request": (ssh.MSG_CHANNEL_REQUEST, String("exec") + Boolean(False) + String("id")),
    "SUCCESS": (ssh.MSG_CHANNEL_SUCCESS, b""),
    "FAILURE": (ssh.MSG_CHANNEL_FAILURE, b""),
}


@pytest.mark.parametrize("fast", [True, False], ids=["fast path", "asyncssh's"])
@pytest.mark.parametrize("name", FOR_A_CHANNEL)
async def test_a_message_for_a_channel_that_both_sides_have_closed_ends_nothing(
    name: str, fast: bool
) -> None:
    kind, data = FOR_A_CHANNEL[name]
    async with listener_harness(ssh={"fast_packets": fast}) as harness, await harness.connect() as connection:
        async with connection.start_sftp_client() as sftp:
            channel, _ = await connection.create_session(asyncssh.SSHClientSession, subsystem="sftp")
            number = UInt32(channel._send_chan or 0)
            channel.close()
            await channel.wait_closed()
            for _ in range(3):
                connection.send_packet(kind, number + data)
            await works(sftp)


@pytest.mark.parametrize("name", FOR_A_CHANNEL)
async def test_a_message_behind_the_end_of_file_or_the_close_ends_nothing_else(name: str) -> None:
    kind, data = FOR_A_CHANNEL[name]
    async with listener_harness() as harness, await harness.connect() as connection:
        async with connection.start_sftp_client() as sftp:
            for ends in ([ssh.MSG_CHANNEL_EOF], [ssh.MSG_CHANNEL_EOF, ssh.MSG_CHANNEL_CLOSE]):
                channel, _ = await connection.create_session(asyncssh.SSHClientSession, subsystem="sftp")
                number = UInt32(channel._send_chan or 0)
                for end in ends:  # in one turn: the server has not answered yet
                    connection.send_packet(end, number)
                connection.send_packet(kind, number + data)
                await works(sftp)


@pytest.mark.parametrize("name", FOR_A_CHANNEL)
async def test_a_message_for_a_channel_that_never_was_ends_the_connection(name: str) -> None:
    kind, data = FOR_A_CHANNEL[name]
    async with listener_harness() as harness, await harness.connect() as connection:
        connection.send_packet(kind, UInt32(1) + data)
        await asyncio.wait_for(connection.wait_closed(), 20)


async def test_nothing_is_kept_of_channels_that_are_closed() -> None:
    async with listener_harness() as harness, await harness.connect() as connection:
        for _ in range(30):
            channel, _ = await connection.create_session(asyncssh.SSHClientSession, subsystem="sftp")
            channel.close()
            await channel.wait_closed()
        (served,) = harness.listener._shared.connections
        async with asyncio.timeout(20):
            while served._open_conn._channels:
                await asyncio.sleep(0.01)


# ── the key exchange ────────────────────────────────────────────────────────────────────────────────


class RawClient:
    """As much of a client as it takes to exchange keys in the clear."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, payload: bytes) -> None:
        fill = 8 - (len(payload) + 5) % 8
        fill += 8 if fill < 4 else 0
        self._writer.write(UInt32(len(payload) + fill + 1) + bytes([fill]) + payload + os.urandom(fill))

    async def receive(self) -> bytes:
        async with asyncio.timeout(20):
            size = int.from_bytes(await self._reader.readexactly(4), "big")
            packet = await self._reader.readexactly(size)
        return packet[1 : size - packet[0]]

    def begin(self, methods: list[str], host_keys: list[str]) -> None:
        """Send KEXINIT and say that a guess follows."""
        lists = [methods, host_keys, *2 * [["aes128-ctr"]], *2 * [["hmac-sha2-256"]], *2 * [["none"]], [], []]
        names = b"".join(NameList([name.encode() for name in each]) for each in lists)
        self.send(bytes([ssh.MSG_KEXINIT]) + os.urandom(16) + names + Boolean(True) + UInt32(0))

    def offer(self) -> None:
        """A curve25519 key."""
        self.send(bytes([30]) + String(X25519PrivateKey.generate().public_key().public_bytes_raw()))

    async def is_waited_for(self) -> bool:
        """Whether the server, for a while, does not hang up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                while await self._reader.read(4096):
                    pass
            return False
        return True


@asynccontextmanager
async def raw_client(harness: ListenerHarness) -> AsyncIterator[RawClient]:
    reader, writer = await harness.socket()
    writer.write(b"SSH-2.0-guess\r\n")
    await reader.readline()
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()


CURVE, OTHER = "curve25519-sha256", "ecdh-sha2-nistp256"
STRICT = "kex-strict-c-v00@openssh.com"


@pytest.mark.parametrize("strict", [[], [STRICT]], ids=["", "strict"])
@pytest.mark.parametrize(
    ("ours", "methods", "host_keys", "right"),
    [
        (SshOptions().offer.key_exchanges, [CURVE, OTHER], ["ssh-ed25519"], False),
        ((CURVE, OTHER), [CURVE, OTHER], ["ssh-ed25519"], True),
        ((CURVE, OTHER), [CURVE, OTHER], ["ecdsa-sha2-nistp256", "ssh-ed25519"], False),
        ((OTHER, CURVE), [CURVE, OTHER], ["ssh-ed25519"], False),
    ],
    ids=["post-quantum first", "right", "other host key", "other method"],
)
async def test_a_guess_counts_only_if_both_sides_name_the_same_first(
    ours: tuple[str, ...], methods: list[str], host_keys: list[str], right: bool, strict: list[str]
) -> None:
    async with listener_harness(ssh={"key_exchanges": ours}) as harness, raw_client(harness) as client:
        client.begin([*methods, *strict], host_keys)
        client.offer()
        if not right:
            client.offer()
        assert (await client.receive())[0] == ssh.MSG_KEXINIT
        assert [(await client.receive())[0] for _ in range(2)] == [31, ssh.MSG_NEWKEYS]
        assert await client.is_waited_for()


async def test_dropbears_client_connects_while_a_post_quantum_method_is_first(tmp_path: Path) -> None:
    """It guesses, and the server's default has another method first."""
    async with listener_harness() as harness:
        command = [
            installed("dbclient"),
            "-y",
            "-y",
            "-s",
            "-p",
            str(harness.port),
            "alice@127.0.0.1",
            "sftp",
        ]
        (await run(command, {"HOME": str(tmp_path), "DROPBEAR_PASSWORD": PASSWORD})).ok()
        (entry,) = harness.logged("login.accepted")
        assert "dropbear" in entry["client"]


@pytest.mark.parametrize("kind", [ssh.MSG_IGNORE, ssh.MSG_UNIMPLEMENTED, ssh.MSG_DEBUG, ssh.MSG_EXT_INFO])
async def test_the_strict_key_exchange_stays_strict(kind: int) -> None:
    async with listener_harness() as harness, raw_client(harness) as client:
        client.begin([CURVE, STRICT], ["ssh-ed25519"])
        client.send(bytes([kind]) + UInt32(0))
        assert not await client.is_waited_for()


async def test_ext_info_in_the_clear_is_a_breach_of_the_key_exchange() -> None:
    async with listener_harness() as harness, raw_client(harness) as client:
        client.send(bytes([ssh.MSG_EXT_INFO]) + UInt32(0))
        assert not await client.is_waited_for()


# ── the login ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_that_is_refused_and_then_the_password_log_in_over_paramiko(tmp_path: Path) -> None:
    """It asks for the service again before each method that it tries."""
    stranger = write_key(asyncssh.generate_private_key("ssh-ed25519"), tmp_path / "key")

    def log_in(port: int) -> list[str]:
        with paramiko.SSHClient() as client:
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            client.connect(
                "127.0.0.1", port, "alice", PASSWORD, key_filename=str(stranger),
                allow_agent=False, look_for_keys=False,
            )  # fmt: skip
            return client.open_sftp().listdir("/")

    async with listener_harness() as harness:
        assert await asyncio.to_thread(log_in, harness.port) == []
        assert [entry["method"] for entry in harness.logged("login.accepted")] == ["password"]


async def test_asking_for_the_service_again_gives_no_further_tries() -> None:
    def guess(port: int, times: int) -> None:
        with paramiko.Transport(("127.0.0.1", port)) as transport:
            transport.start_client(timeout=20)
            for number in range(times):
                with contextlib.suppress(paramiko.AuthenticationException):
                    transport.auth_password("alice", f"guess {number}", fallback=False)

    async with listener_harness(ssh={"max_auth_attempts": 3}) as harness:
        with pytest.raises((paramiko.SSHException, EOFError)):
            await asyncio.to_thread(guess, harness.port, 10)
        assert len(harness.logged("login.failed")) == 3


async def test_the_service_is_not_given_again_and_again_without_end() -> None:
    class Asking(asyncssh.SSHClient):
        def connection_made(self, conn: Any) -> None:
            self.conn = conn

        def begin_auth(self, username: str) -> None:
            for _ in range(100):
                self.conn.send_packet(ssh.MSG_SERVICE_REQUEST, String("ssh-userauth"))

    async with listener_harness() as harness:
        with pytest.raises((asyncssh.Error, ConnectionError)):
            await harness.connect(client_factory=Asking)
        assert not harness.logged("login.accepted")


MISPLACED = {
    "REQUEST_SUCCESS": (ssh.MSG_REQUEST_SUCCESS, b""),
    "REQUEST_FAILURE": (ssh.MSG_REQUEST_FAILURE, b""),
    "a keepalive": (ssh.MSG_GLOBAL_REQUEST, String("keepalive@openssh.com") + Boolean(True)),
    "a response that nobody asked for": (61, UInt32(1) + String(PASSWORD)),
    "CHANNEL_OPEN": (ssh.MSG_CHANNEL_OPEN, SESSION + 3 * UInt32(1000)),
    "CHANNEL_REQUEST": (ssh.MSG_CHANNEL_REQUEST, ANY_CHANNEL + String("exec") + Boolean(True) + String("id")),
    "CHANNEL_SUCCESS": (ssh.MSG_CHANNEL_SUCCESS, ANY_CHANNEL),
    "WINDOW_ADJUST": (ssh.MSG_CHANNEL_WINDOW_ADJUST, ANY_CHANNEL + UInt32(100)),
    "USERAUTH_FAILURE": (ssh.MSG_USERAUTH_FAILURE, String("password") + Boolean(False)),
    "USERAUTH_SUCCESS": (ssh.MSG_USERAUTH_SUCCESS, b""),
    "USERAUTH_BANNER": (ssh.MSG_USERAUTH_BANNER, String("hello") + String("")),
    "SERVICE_ACCEPT": (ssh.MSG_SERVICE_ACCEPT, String("ssh-userauth")),
    "a key outside a key exchange": (30, String(bytes(32))),
}


class Early(asyncssh.SSHClient):
    """Sends something again and again between the key exchange and its password."""

    def __init__(self, kind: int, data: bytes, times: int) -> None:
        self._kind, self._data, self._times = kind, data, times
        self.unimplemented = 0

    def connection_made(self, conn: Any) -> None:
        self._conn = conn
        conn._packet_handlers = {**conn._packet_handlers, ssh.MSG_UNIMPLEMENTED: self._count}

    def _count(self, *_: Any) -> None:
        self.unimplemented += 1

    def begin_auth(self, username: str) -> None:
        self._conn._auth_complete = True  # or it would keep the messages until it has logged in
        for _ in range(self._times):
            self._conn.send_packet(self._kind, self._data)
        self._conn._auth_complete = False


@pytest.mark.parametrize("fast", [True, False], ids=["fast path", "asyncssh's"])
@pytest.mark.parametrize("name", MISPLACED)
async def test_what_does_not_belong_before_the_login_is_answered_as_unimplemented(
    name: str, fast: bool
) -> None:
    client = Early(*MISPLACED[name], times=3)
    async with listener_harness(ssh={"fast_packets": fast}) as harness:
        async with await harness.connect(client_factory=lambda: client) as connection:
            async with connection.start_sftp_client() as sftp:
                await works(sftp)
        assert client.unimplemented == 3


async def test_what_does_not_belong_before_the_login_ends_the_connection_in_the_end() -> None:
    client = Early(*MISPLACED["a keepalive"], times=200)
    async with listener_harness() as harness:
        with pytest.raises((asyncssh.Error, ConnectionError)):
            await harness.connect(client_factory=lambda: client)
        assert client.unimplemented <= 100
        assert not harness.logged("login.accepted")


@pytest.mark.parametrize("name", MISPLACED)
async def test_what_does_not_belong_into_a_key_exchange_in_the_clear_ends_the_connection(name: str) -> None:
    kind, data = MISPLACED[name]
    async with listener_harness() as harness, raw_client(harness) as client:
        if kind != 30:
            client.begin([CURVE, STRICT], ["ssh-ed25519"])
        client.send(bytes([kind]) + data)
        assert not await client.is_waited_for()


async def test_asking_for_the_service_behind_a_password_does_not_undo_the_login() -> None:
    class Hasty(asyncssh.SSHClient):
        def connection_made(self, conn: Any) -> None:
            self.conn = conn

        def password_auth_requested(self) -> str:
            accepted = {ssh.MSG_SERVICE_ACCEPT: lambda *_: None}
            self.conn._packet_handlers = {**self.conn._packet_handlers, **accepted}
            asyncio.get_running_loop().call_soon(
                self.conn.send_packet, ssh.MSG_SERVICE_REQUEST, String("ssh-userauth")
            )
            return PASSWORD

    async with listener_harness() as harness:
        async with await harness.connect(password=None, client_factory=Hasty) as connection:
            async with connection.start_sftp_client() as sftp:
                await works(sftp)


AFTER_THE_LOGIN = {
    "the login's service": (ssh.MSG_SERVICE_REQUEST, String("ssh-userauth")),
    "the connection's service": (ssh.MSG_SERVICE_REQUEST, String("ssh-connection")),
    "no service": (ssh.MSG_SERVICE_REQUEST, String("nonsense")),
    **{
        name: MISPLACED[name]
        for name in MISPLACED
        if name.startswith(("USERAUTH", "SERVICE", "a key", "a response"))
    },
}


@pytest.mark.parametrize("fast", [True, False], ids=["fast path", "asyncssh's"])
@pytest.mark.parametrize("name", AFTER_THE_LOGIN)
async def test_what_does_not_belong_after_the_login_is_answered_as_unimplemented(
    name: str, fast: bool
) -> None:
    kind, data = AFTER_THE_LOGIN[name]
    async with listener_harness(ssh={"fast_packets": fast}) as harness, await harness.connect() as connection:
        answers: asyncio.Queue[None] = asyncio.Queue()
        unimplemented = {ssh.MSG_UNIMPLEMENTED: lambda *_: answers.put_nowait(None)}
        connection._packet_handlers = {**connection._packet_handlers, **unimplemented}  # type: ignore[misc]
        async with connection.start_sftp_client() as sftp:
            for _ in range(3):
                connection.send_packet(kind, data)
                await asyncio.wait_for(answers.get(), 20)
            await works(sftp)
