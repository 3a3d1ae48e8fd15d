"""What is counted against a source, what is not, and who may still try passwords of a user under attack."""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import Callable, Mapping
from typing import Any

import asyncssh
import paramiko
import pytest

from s3sftp.auth import ConfiguredUsers
from tests.ssh.listener_harness import ALICES_KEY, PASSWORD, ListenerHarness, listener_harness
from tests.ssh.test_several_factors import BOTH, WITH_CODE, code

GUESSER = "127.0.0.21"
Refused = (asyncssh.Error, ConnectionError)


async def guess(harness: ListenerHarness, source: str, user: str = "alice", password: str = "wrong") -> None:
    with pytest.raises(Refused):
        await harness.connect(user, password, source)


async def send(harness: ListenerHarness, data: bytes, source: str = GUESSER) -> None:
    """Connect, send this, and close; returns when the server has noticed."""
    reader, writer = await harness.socket(source)
    writer.write(data)
    await writer.drain()
    if data:
        await reader.read(1)
    writer.close()
    await harness.empties()


def paramiko_key(key: asyncssh.SSHKey) -> paramiko.PKey:
    return paramiko.Ed25519Key.from_private_key(io.StringIO(key.export_private_key().decode()))


async def by_paramiko(
    harness: ListenerHarness, use: Callable[[paramiko.Transport], object], source: str
) -> None:
    """Use one connection from this source for several attempts to log in, in a thread."""

    def work() -> None:
        connected = socket.create_connection(("127.0.0.1", harness.port), source_address=(source, 0))
        with connected, paramiko.Transport(connected) as transport:
            transport.start_client(timeout=20)
            use(transport)

    await asyncio.to_thread(work)
    await harness.empties()


async def banned(harness: ListenerHarness) -> list[Mapping[str, Any]]:
    await harness.empties()
    return harness.logged("source.banned")


async def test_who_tries_many_names_is_banned_sooner_whether_they_exist_or_not() -> None:
    async def attempts_until_banned(*names: str) -> int:
        async with listener_harness(auth={"ban_failures": 7, "refusal_time": 0.01}) as harness:
            for number, name in enumerate(names, 1):
                await guess(harness, GUESSER, name)
                if harness.logged("source.banned"):
                    return number
        return 0

    assert await attempts_until_banned(*["alice"] * 10) == 7
    assert await attempts_until_banned(*["nobody"] * 10) == 7
    existing = await attempts_until_banned("alice", "bob", "alice", "bob", "x", "y", "z")
    unknown = await attempts_until_banned("a", "b", "a", "b", "x", "y", "z")
    assert existing == unknown == 5


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00" + bytes(300), b"SSH-1.5-old\r\n"]
)
async def test_what_is_no_ssh_counts(data: bytes) -> None:
    async with listener_harness(auth={"ban_failures": 2}) as harness:
        for _ in range(2):
            await send(harness, data)
        (ban,) = await banned(harness)
        assert (ban["source"], ban["reason"], ban["score"], ban["failures"]) == (GUESSER, "protocol", 2, 2)
        assert harness.listener.defender is not None
        assert harness.listener.defender.banned(GUESSER)


async def test_breaking_the_protocol_before_a_login_counts() -> None:
    async with listener_harness(auth={"ban_failures": 1}) as harness:
        await send(harness, b"SSH-2.0-fuzzer\r\n" + b"\xff" * 64)
        reader, writer = await harness.socket("127.0.0.22")
        writer.write(b"SSH-2.0-fuzzer\r\n" + b"\xff" * 64)
        await reader.read()
        writer.close()
        assert "127.0.0.22" in [ban["source"] for ban in await banned(harness)]


@pytest.mark.parametrize("data", [b"", b"SSH-2", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"])
async def test_health_checks_and_headers_of_load_balancers_do_not_count(data: bytes) -> None:
    points = {"ban_failures": 1, "ban_points_no_login": 1, "ban_points_protocol": 1}
    async with listener_harness(auth=points) as harness:
        for _ in range(3):
            await send(harness, data)
        assert not await banned(harness)


async def test_a_client_that_blames_the_server_for_a_breach_is_not_counted_for_one() -> None:
    async with listener_harness(auth={"ban_failures": 1}) as harness:
        reader, writer = await harness.socket(GUESSER)
        text = b"\x00\x00\x00\x03bad\x00\x00\x00\x00"
        payload = b"\x01\x00\x00\x00\x02" + text
        padding = 8 - (5 + len(payload)) % 8 + 8
        packet = (1 + len(payload) + padding).to_bytes(4, "big") + bytes([padding]) + payload + bytes(padding)
        writer.write(b"SSH-2.0-client\r\n" + packet)
        await reader.read()
        writer.close()
        assert not await banned(harness)
        assert harness.logged("connection.closed")[0]["reason"] == "bad"


@pytest.mark.parametrize(("points", "bans"), [(0, []), (1, ["no_login"])])
async def test_a_client_that_does_not_log_in_counts_if_that_is_configured(
    points: int, bans: list[str]
) -> None:
    async with listener_harness(auth={"ban_failures": 2, "ban_points_no_login": points}) as harness:
        for _ in range(2):
            await asyncssh.get_server_host_key("127.0.0.1", harness.port, local_addr=(GUESSER, 0))
            await harness.empties()
        assert [ban["reason"] for ban in await banned(harness)] == bans


async def test_a_client_without_a_common_algorithm_does_not_count() -> None:
    points = {"ban_failures": 1, "ban_points_no_login": 1, "ban_points_protocol": 1}
    async with listener_harness(auth=points) as harness:
        with pytest.raises(Refused):
            await harness.connect(source=GUESSER, encryption_algs=["3des-cbc"])
        assert not await banned(harness)


async def test_a_login_counts_nothing_but_its_failures() -> None:
    points = {"ban_failures": 1, "ban_points_no_login": 1, "ban_points_protocol": 1}
    async with listener_harness(auth=points) as harness:
        (await harness.connect(source=GUESSER)).close()
        assert not await banned(harness)


async def test_never_banned_networks_are_not() -> None:
    auth = {"ban_failures": 1, "user_failures": 1, "never_banned": ["127.0.0.20/30"]}
    async with listener_harness(auth=auth) as harness:
        for _ in range(3):
            await guess(harness, GUESSER)
        assert not await banned(harness)
        (await harness.connect(source=GUESSER)).close()
        await guess(harness, "127.0.0.24")
        assert [ban["source"] for ban in await banned(harness)] == ["127.0.0.24"]


async def test_other_connections_of_a_banned_source_may_not_go_on_guessing() -> None:
    async with listener_harness(auth={"ban_failures": 2}, ssh={"max_auth_attempts": 6}) as harness:

        class Client(asyncssh.SSHClient):
            tries = 0

            def password_auth_requested(self) -> str:
                self.tries += 1
                return "wrong"

        clients: list[Client] = []

        def client() -> Client:
            clients.append(Client())
            return clients[-1]

        async def guesses() -> None:
            with pytest.raises(Refused):
                await harness.connect(password=None, source=GUESSER, client_factory=client)

        await asyncio.gather(*(guesses() for _ in range(4)))
        assert sum(each.tries for each in clients) <= 2 + 3  # those under way when the source was banned
        assert len(await banned(harness)) == 1


async def test_guesses_at_a_user_from_many_sources_are_not_tried_and_the_owner_comes_in() -> None:
    auth = {"user_failures": 4, "refusal_time": 0.01}
    async with listener_harness(auth=auth) as harness:
        (await harness.connect(source="127.0.0.31")).close()  # the owner's usual address
        for number in range(4):
            await guess(harness, f"127.0.0.{40 + number}")
        await guess(harness, "127.0.0.50", password=PASSWORD)  # right, but not tried
        (throttled,) = harness.logged("user.throttled")
        assert (throttled["user"], throttled["source"]) == ("alice", "127.0.0.50")
        (await harness.connect(source="127.0.0.31")).close()
        (await harness.connect("bob", source="127.0.0.50")).close()
        assert not harness.logged("source.banned")


async def test_an_attack_on_a_user_does_not_concern_keys() -> None:
    async with listener_harness(auth={"user_failures": 1}) as harness:
        await guess(harness, "127.0.0.40")
        await guess(harness, "127.0.0.50", password=PASSWORD)
        login: dict[str, Any] = {"password": None, "client_keys": [ALICES_KEY], "preferred_auth": "publickey"}
        (await harness.connect(source="127.0.0.50", **login)).close()


async def test_mistakes_of_the_owner_do_not_lock_out_others() -> None:
    async with listener_harness(auth={"user_failures": 2, "refusal_time": 0.01}) as harness:
        (await harness.connect(source="127.0.0.31")).close()
        for _ in range(5):
            await guess(harness, "127.0.0.31")
        (await harness.connect(source="127.0.0.50")).close()


async def test_a_throttled_password_takes_as_long_as_a_wrong_one() -> None:
    loop = asyncio.get_running_loop()
    async with listener_harness(auth={"user_failures": 1, "refusal_time": 0.5}) as harness:

        async def seconds(source: str) -> float:
            began = loop.time()
            await guess(harness, source)
            return loop.time() - began

        await seconds("127.0.0.40")
        assert await seconds("127.0.0.41") >= 0.5
        assert harness.logged("user.throttled")


async def test_an_attempt_at_anothers_password_before_ones_own_login_makes_no_source_known() -> None:
    auth = {"user_failures": 3, "refusal_time": 0.01}
    async with listener_harness(auth=auth) as harness:

        def log_in(transport: paramiko.Transport) -> None:
            with pytest.raises(paramiko.AuthenticationException):
                transport.auth_password("alice", "wrong", fallback=False)
            transport.auth_password("bob", PASSWORD, fallback=False)

        await by_paramiko(harness, log_in, GUESSER)
        for _ in range(2):
            await guess(harness, GUESSER)
        await guess(harness, GUESSER, password=PASSWORD)  # right, but not tried
        assert harness.logged("user.throttled")


async def test_a_right_factor_and_a_wrong_one_after_it_count_once() -> None:
    async with listener_harness(users=BOTH, auth={"ban_failures": 2, "refusal_time": 0.01}) as harness:

        def log_in(transport: paramiko.Transport) -> None:
            assert transport.auth_publickey("alice", paramiko_key(ALICES_KEY))
            with pytest.raises(paramiko.AuthenticationException):
                transport.auth_password("alice", "wrong", fallback=False)

        await by_paramiko(harness, log_in, GUESSER)
        assert not await banned(harness)
        await by_paramiko(harness, log_in, GUESSER)
        (ban,) = await banned(harness)
        assert (ban["reason"], ban["score"], ban["failures"]) == ("password", 2, 2)


async def test_a_right_factor_without_the_other_counts_once() -> None:
    async with listener_harness(users=BOTH, auth={"ban_failures": 2, "refusal_time": 0.01}) as harness:

        def log_in(transport: paramiko.Transport) -> None:
            assert transport.auth_publickey("alice", paramiko_key(ALICES_KEY))

        await by_paramiko(harness, log_in, GUESSER)
        assert not await banned(harness)
        await by_paramiko(harness, log_in, GUESSER)
        (ban,) = await banned(harness)
        assert (ban["reason"], ban["score"], ban["failures"]) == ("publickey", 2, 2)


async def test_a_right_factor_does_not_count_if_nobody_could_say_whether_the_other_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fails(*_: object) -> None:
        raise RuntimeError("no answer")

    monkeypatch.setattr(ConfiguredUsers, "by_password", fails)
    async with listener_harness(users=BOTH, auth={"ban_failures": 1, "refusal_time": 0.01}) as harness:

        def log_in(transport: paramiko.Transport) -> None:
            assert transport.auth_publickey("alice", paramiko_key(ALICES_KEY))
            with pytest.raises(paramiko.AuthenticationException):
                transport.auth_password("alice", PASSWORD, fallback=False)

        await by_paramiko(harness, log_in, GUESSER)
        assert not await banned(harness)
        assert not harness.logged("login.failed")


@pytest.mark.parametrize("way", ["password", "keyboard-interactive"])
async def test_passwords_of_a_user_under_attack_are_not_tried_by_any_method(way: str) -> None:
    async with listener_harness(auth={"user_failures": 1, "refusal_time": 0.01}) as harness:
        await guess(harness, "127.0.0.40")
        with pytest.raises(Refused):
            await harness.connect(source="127.0.0.50", preferred_auth=way)
        (throttled,) = harness.logged("user.throttled")
        assert throttled["source"] == "127.0.0.50"


def log_in_with(verification_code: str) -> Callable[[paramiko.Transport], None]:
    def log_in(transport: paramiko.Transport) -> None:
        assert transport.auth_publickey("alice", paramiko_key(ALICES_KEY))
        transport.auth_interactive("alice", lambda _title, _text, asked: [verification_code for _ in asked])
        assert transport.is_authenticated()

    return log_in


async def test_who_has_proven_nothing_cannot_have_codes_that_follow_a_right_key_refused() -> None:
    auth = {"user_failures": 1, "refusal_time": 0.01}
    async with listener_harness(users=WITH_CODE, auth=auth) as harness:
        await guess(harness, "127.0.0.40")
        await guess(harness, "127.0.0.41")
        assert harness.logged("user.throttled")
        await by_paramiko(harness, log_in_with(code()), "127.0.0.50")


async def test_who_has_proven_nothing_cannot_have_passwords_that_follow_a_right_key_refused() -> None:
    auth = {"user_failures": 1, "refusal_time": 0.01}
    async with listener_harness(users=BOTH, auth=auth) as harness:

        def log_in(transport: paramiko.Transport) -> None:
            assert transport.auth_publickey("alice", paramiko_key(ALICES_KEY))
            transport.auth_password("alice", PASSWORD, fallback=False)
            assert transport.is_authenticated()

        await guess(harness, "127.0.0.40")
        await guess(harness, "127.0.0.41")
        assert harness.logged("user.throttled")
        await by_paramiko(harness, log_in, "127.0.0.50")


async def test_codes_are_not_tried_after_too_many_guesses_by_others_with_the_first_factor() -> None:
    auth = {"user_failures": 1, "refusal_time": 0.01}
    async with listener_harness(users=WITH_CODE, auth=auth) as harness:
        for source, verification_code in (("127.0.0.40", "000000"), ("127.0.0.50", code())):
            with pytest.raises(paramiko.AuthenticationException):
                await by_paramiko(harness, log_in_with(verification_code), source)
        (throttled,) = harness.logged("user.throttled")
        assert (throttled["user"], throttled["source"]) == ("alice", "127.0.0.50")


async def test_wrong_codes_count_as_guesses_at_the_user() -> None:
    auth = {"user_failures": 2, "refusal_time": 0.01}
    async with listener_harness(users=WITH_CODE, auth=auth) as harness:

        def log_in(transport: paramiko.Transport) -> None:
            assert transport.auth_publickey("alice", paramiko_key(ALICES_KEY))
            with pytest.raises(paramiko.AuthenticationException):
                transport.auth_interactive("alice", lambda _title, _text, asked: ["000000" for _ in asked])

        for number in range(2):
            await by_paramiko(harness, log_in, f"127.0.0.{40 + number}")
        assert not harness.logged("user.throttled")
        await by_paramiko(harness, log_in, "127.0.0.50")
        assert harness.logged("user.throttled")
