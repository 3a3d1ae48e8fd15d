"""Logging in: who gets in, what the others learn (nothing), and how long they may go on guessing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import argon2
import asyncssh
import pytest

from s3sftp.auth import UserOptions
from tests.ssh.listener_harness import ALICES_KEY, CHEAP, PASSWORD, ListenerHarness, listener_harness
from tests.ssh.timing import take_equally_long

SLOW = argon2.PasswordHasher(time_cost=2, memory_cost=32768)
"""Slow enough that leaving it out would show."""
STRANGERS_KEY = asyncssh.generate_private_key("ssh-ed25519")
Reasons = (asyncssh.PermissionDenied, asyncssh.DisconnectError, ConnectionError)


async def test_a_password_lets_in_and_the_log_says_who_from_where_and_how() -> None:
    async with listener_harness(log_level="debug") as harness:
        async with await harness.connect() as connection, connection.start_sftp_client() as sftp:
            assert await sftp.listdir("/") == [".", ".."]
        await harness.empties()
        (entry,) = harness.logged("login.accepted")
        assert (entry["user"], entry["method"]) == ("alice", "password")
        assert entry["peer"].startswith("127.0.0.1:")
        ours = ("connection.", "login.")
        names = [event["event"] for event in harness.events if event["event"].startswith(ours)]
        assert names == ["connection.opened", "connection.identified", "login.accepted", "connection.closed"]
        assert PASSWORD not in repr(harness.events)


async def test_a_key_lets_in_and_the_log_has_its_fingerprint() -> None:
    async with listener_harness() as harness:
        (await harness.connect(password=None, client_keys=[ALICES_KEY], preferred_auth="publickey")).close()
        (entry,) = harness.logged("login.accepted")
        assert (entry["method"], entry["key"]) == ("publickey", ALICES_KEY.get_fingerprint())


@pytest.mark.parametrize(
    ("user", "options"),
    [
        ("alice", {"password": "wrong"}),
        ("alice", {"password": ""}),
        ("nobody", {}),
        ("alice", {"client_keys": [STRANGERS_KEY], "preferred_auth": "publickey"}),
        ("bob", {"client_keys": [ALICES_KEY], "preferred_auth": "publickey"}),
        ("nobody", {"client_keys": [ALICES_KEY], "preferred_auth": "publickey"}),
        ("alice", {"preferred_auth": "none"}),
    ],
)
async def test_nobody_else_gets_in(user: str, options: dict[str, Any]) -> None:
    async with listener_harness() as harness:
        with pytest.raises(asyncssh.PermissionDenied):
            await harness.connect(user, **options)
        assert not harness.logged("login.accepted")
        assert not harness.sessions


async def test_offering_one_key_and_signing_with_another_lets_nobody_in() -> None:
    """The identity is the key that was verified: a signature by B for an offer of A is worth nothing."""

    class TwoFaced(asyncssh.SSHKeyPair):
        def __init__(self) -> None:
            shown = asyncssh.load_keypairs([ALICES_KEY])[0]
            super().__init__(
                shown.algorithm, shown.algorithm, (shown.algorithm,), (), shown.public_data, None
            )

        def sign(self, data: bytes) -> bytes:
            return STRANGERS_KEY.sign(data, b"ssh-ed25519")

    async with listener_harness() as harness:
        with pytest.raises(asyncssh.PermissionDenied):
            await harness.connect(password=None, client_keys=[TwoFaced()], preferred_auth="publickey")
        assert not harness.logged("login.accepted")


class Guesser(asyncssh.SSHClient):
    """Goes on trying passwords until it is thrown out."""

    def __init__(self) -> None:
        self.tries = 0

    def password_auth_requested(self) -> str:
        self.tries += 1
        return f"guess {self.tries}"


class KeyChain(asyncssh.SSHClient):
    """Goes on offering keys until it is thrown out."""

    def __init__(self) -> None:
        self.tries = 0

    def public_key_auth_requested(self) -> asyncssh.SSHKey:
        self.tries += 1
        return asyncssh.generate_private_key("ssh-ed25519")


async def throw_out(harness: ListenerHarness, client: asyncssh.SSHClient, method: str) -> str:
    with pytest.raises(Reasons) as caught:
        await harness.connect(
            password=None, client_factory=lambda: client, preferred_auth=method, client_keys=()
        )
    return str(caught.value)


async def test_a_connection_may_try_only_so_many_passwords() -> None:
    async with listener_harness(ssh={"max_auth_attempts": 3}) as harness:
        client = Guesser()
        assert "Too many authentication failures" in await throw_out(harness, client, "password")
        assert client.tries == 3
        assert len(harness.logged("login.failed")) == 3


async def test_a_connection_may_offer_more_keys_but_not_without_end() -> None:
    async with listener_harness(ssh={"max_key_offers": 8}) as harness:
        client = KeyChain()
        assert "Too many authentication failures" in await throw_out(harness, client, "publickey")
        assert client.tries == 9


async def test_wrong_logins_of_one_source_get_it_banned_before_the_first_byte_and_nobody_else() -> None:
    async with listener_harness(auth={"ban_failures": 5, "ban_time": 3600}) as harness:
        for _ in range(5):
            with pytest.raises(Reasons):
                await harness.connect(password="wrong", source="127.0.0.2")
        reader, writer = await harness.socket("127.0.0.2")
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        assert harness.logged("source.banned")
        assert harness.logged("connection.refused")[0]["reason"] == "the source is banned"
        (await harness.connect(source="127.0.0.3")).close()
        with pytest.raises(Reasons):
            await harness.connect(source="127.0.0.2")
        assert harness.listener.defender is not None
        harness.listener.defender._clock = lambda: time.monotonic() + 3600
        (await harness.connect(source="127.0.0.2")).close()


async def test_a_ban_takes_effect_on_a_connection_that_is_still_guessing() -> None:
    async with listener_harness(auth={"ban_failures": 2}, ssh={"max_auth_attempts": 6}) as harness:
        client = Guesser()
        await throw_out(harness, client, "password")
        assert client.tries == 2


async def test_keys_that_open_nothing_count_once_for_a_connection_and_none_for_a_login() -> None:
    async with listener_harness(auth={"ban_failures": 2}) as harness:
        chain = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(4)]
        for _ in range(3):
            (await harness.connect(client_keys=[*chain, ALICES_KEY], preferred_auth="publickey")).close()
        await harness.empties()
        for _ in range(2):
            with pytest.raises(Reasons):
                await harness.connect(client_keys=chain, preferred_auth="publickey")
            await harness.empties()
        with pytest.raises(Reasons):
            await harness.connect()
        assert harness.logged("source.banned")


async def test_connections_that_say_nothing_get_nobody_banned() -> None:
    """A load balancer looks whether the port is open, all day long."""
    async with listener_harness(auth={"ban_failures": 3}) as harness:
        for _ in range(10):
            _, writer = await harness.socket()
            writer.close()
        await harness.empties()
        (await harness.connect()).close()


async def test_trying_many_names_on_one_connection_ends_it() -> None:
    async with listener_harness(ssh={"max_auth_attempts": 4}) as harness:
        async with gatehouse_client(harness) as client:
            for number in range(20):
                if not await client.password(f"user{number}", "guess"):
                    break
            assert number <= 4


class RawClient:
    """A client without manners: user authentication packets as the test wants them."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        self.connection = connection

    async def password(self, user: str, password: str) -> bool:
        """Try, and say whether the connection still stands."""
        conn: Any = self.connection
        text = [part.encode() for part in (user, "ssh-connection", "password")]
        packet = b"".join(len(part).to_bytes(4, "big") + part for part in text) + b"\0"
        packet += len(password).to_bytes(4, "big") + password.encode()
        before = conn._recv_seq
        conn.send_packet(50, packet)
        async with asyncio.timeout(20):
            while not conn.is_closed() and conn._recv_seq == before:
                await asyncio.sleep(0.005)
        return not conn.is_closed()


class gatehouse_client:
    """A connection that has not logged in and leaves authentication to the test."""

    def __init__(self, harness: ListenerHarness) -> None:
        self.harness = harness
        self.waiting: asyncio.Task[Any] | None = None
        self.ready = asyncio.Event()

    async def __aenter__(self) -> RawClient:
        ready, holder = self.ready, []

        class Patient(asyncssh.SSHClient):
            def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
                holder.append(conn)

            async def password_auth_requested(self) -> str:
                ready.set()
                await asyncio.Event().wait()
                return ""

        self.waiting = asyncio.create_task(
            self.harness.connect(password=None, client_factory=Patient)  # type: ignore[arg-type]
        )
        await asyncio.wait_for(ready.wait(), 20)
        return RawClient(holder[0])

    async def __aexit__(self, *_: object) -> None:
        assert self.waiting is not None
        self.waiting.cancel()
        await asyncio.gather(self.waiting, return_exceptions=True)


async def test_whether_a_user_exists_shows_in_no_message_and_no_method() -> None:
    users = {
        "with_password": UserOptions(password_hash=CHEAP.hash("x")),
        "with_key": UserOptions(authorized_keys=(ALICES_KEY.export_public_key().decode(),)),
    }
    seen: dict[str, set[object]] = {}
    async with listener_harness(users=users) as harness:
        for user in ("with_password", "with_key", "nobody"):
            methods = await asyncssh.get_server_auth_methods(
                "127.0.0.1", harness.port, username=user, config=None
            )
            with pytest.raises(asyncssh.PermissionDenied) as wrong_password:
                await harness.connect(user, "wrong")
            with pytest.raises(asyncssh.PermissionDenied) as wrong_key:
                await harness.connect(user, client_keys=[STRANGERS_KEY], preferred_auth="publickey")
            words = [str(error.value).replace(user, "U") for error in (wrong_password, wrong_key)]
            seen[user] = {tuple(methods), *words}
    assert seen["with_password"] == seen["with_key"] == seen["nobody"]


async def test_password_is_not_offered_when_nobody_has_one() -> None:
    users = {"alice": UserOptions(authorized_keys=(ALICES_KEY.export_public_key().decode(),))}
    async with listener_harness(users=users) as harness:
        methods = await asyncssh.get_server_auth_methods(
            "127.0.0.1", harness.port, username="alice", config=None
        )
        assert list(methods) == ["publickey"]


@pytest.mark.alone
@pytest.mark.parametrize("method", ["password", "keyboard-interactive", "publickey"])
async def test_whether_a_user_exists_shows_in_no_time(method: str) -> None:
    users = {
        "with_password": UserOptions(password_hash=SLOW.hash("x")),
        "with_key": UserOptions(authorized_keys=(ALICES_KEY.export_public_key().decode(),)),
    }
    open_house = {"ban_failures": 0}
    async with listener_harness(users=users, auth=open_house) as harness:

        def attempt(user: str) -> Callable[[], Awaitable[None]]:
            async def run() -> None:
                keys = [STRANGERS_KEY] if method == "publickey" else None
                with pytest.raises(asyncssh.PermissionDenied):
                    await harness.connect(user, "wrong", client_keys=keys, preferred_auth=method)

            return run

        for known in ("with_password", "with_key"):
            assert await take_equally_long(attempt(known), attempt("nobody")), known
