"""keyboard-interactive: asks for the password, and is no other way to guess it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest

from tests.ssh.listener_harness import PASSWORD, ListenerHarness, listener_harness
from tests.ssh.ssh_clients import askpass, dbclient, openssh, questions

METHOD = "keyboard-interactive"
Reasons = (asyncssh.PermissionDenied, asyncssh.DisconnectError, ConnectionError)


class Respondent(asyncssh.SSHClient):
    """Gives these responses, one after the other; None: never."""

    def __init__(self, *responses: Sequence[str] | None) -> None:
        self._responses = list(responses)
        self.asked: list[Any] = []

    def kbdint_auth_requested(self) -> str | None:
        return "" if self._responses else None

    async def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> Sequence[str]:
        self.asked.append((name, instructions, list(prompts)))
        response = self._responses.pop(0)
        if response is None:
            await asyncio.Event().wait()
        assert response is not None
        return response


async def answer(harness: ListenerHarness, *responses: Sequence[str] | None, **options: Any) -> Respondent:
    client = Respondent(*responses)
    connection = await harness.connect(
        password=None, client_factory=lambda: client, preferred_auth=METHOD, **options
    )
    connection.close()
    return client


async def test_it_asks_once_for_the_password_and_does_not_show_it() -> None:
    async with listener_harness() as harness:
        client = await answer(harness, [PASSWORD])
        assert client.asked == [("", "", [("Password: ", False)])]
        (entry,) = harness.logged("login.accepted")
        assert (entry["user"], entry["method"]) == ("alice", METHOD)
        assert PASSWORD not in repr(harness.events)


@pytest.mark.parametrize("responses", [["wrong"], [""], [], [PASSWORD, PASSWORD], ["x" * 5000]])
async def test_any_other_response_lets_nobody_in(responses: list[str]) -> None:
    async with listener_harness() as harness:
        with pytest.raises(Reasons):
            await answer(harness, responses)
        assert not harness.logged("login.accepted")


@pytest.mark.parametrize("user", ["alice", "nobody"])
async def test_passwords_and_responses_are_counted_together(user: str) -> None:
    class Both(Respondent):
        passwords = 0

        def password_auth_requested(self) -> str | None:
            self.passwords += 1
            return "wrong" if self.passwords <= 2 else None

    async with listener_harness(ssh={"max_auth_attempts": 4}) as harness:
        client = Both(*[["wrong"]] * 9)
        with pytest.raises(Reasons, match="Too many authentication failures"):
            await harness.connect(
                user, None, client_factory=lambda: client, preferred_auth=f"password,{METHOD}"
            )
        assert len(client.asked) == 2
        assert [entry["method"] for entry in harness.logged("login.failed")] == ["password"] * 2 + [
            METHOD
        ] * 2


async def test_cancelled_questions_are_attempts_of_the_connection_but_no_guesses() -> None:
    async with listener_harness(ssh={"max_auth_attempts": 3}, auth={"ban_failures": 1}) as harness:
        client = Respondent(*[[]] * 9)
        with pytest.raises(Reasons, match="Too many authentication failures"):
            await harness.connect(password=None, client_factory=lambda: client, preferred_auth=METHOD)
        assert len(client.asked) == 3
        (await harness.connect()).close()


async def test_a_question_that_is_never_answered_ends_with_the_grace() -> None:
    async with listener_harness(ssh={"login_grace": 1}) as harness:
        with pytest.raises(Reasons):
            await answer(harness, None)
        await harness.empties()
        assert not harness.logged("login.failed")


async def test_asking_to_be_asked_again_and_again_ends_the_connection() -> None:
    async with listener_harness(ssh={"max_auth_attempts": 3}) as harness:
        asked, ended = await _raw(harness, [_request("alice")] * 10)
        assert asked == 3
        assert ended


async def test_responses_that_nobody_waits_for_are_guesses_all_the_same() -> None:
    """Each response cancels the one before it, as far as the client can see."""
    async with listener_harness(auth={"ban_failures": 5}, ssh={"max_auth_attempts": 5}) as harness:
        # one that another follows at once is not looked at: no guess; so some time has to pass between them
        await _raw(harness, [_response(f"guess {number}") for number in range(1000)], pause=0.02)
        assert len(harness.logged("login.failed")) == 5
        assert harness.logged("source.banned")


@pytest.mark.parametrize("method", [METHOD, "password"])
async def test_a_login_of_a_quarter_megabyte_is_not_read(method: str) -> None:
    """To prepare it takes a second of the event loop, and whoever reaches the port can send it."""
    async with listener_harness() as harness:
        if method == METHOD:
            with pytest.raises(Reasons):
                await answer(harness, ["ä" * 100_000])
        else:
            with pytest.raises(Reasons, match="too long"):
                await harness.connect(password="a" * 250_000)
        await harness.empties()
        assert not harness.logged("login.failed")
        assert "too long" in harness.logged("connection.closed")[0]["reason"]
        (await harness.connect(password=PASSWORD)).close()


async def test_wrong_responses_get_their_source_banned() -> None:
    async with listener_harness(auth={"ban_failures": 3}) as harness:
        with pytest.raises(Reasons):
            await answer(harness, *[["wrong"]] * 5, source="127.0.0.2")
        assert harness.logged("source.banned")
        (await harness.connect(source="127.0.0.3")).close()


async def test_the_methods_are_named_in_sshds_order_for_every_name() -> None:
    async with listener_harness() as harness:
        for user in ("alice", "bob", "nobody"):
            methods = await asyncssh.get_server_auth_methods(
                "127.0.0.1", harness.port, username=user, config=None
            )
            assert list(methods) == ["publickey", "password", METHOD]


async def test_openssh_logs_in_by_it_and_a_wrong_password_does_not(tmp_path: Path) -> None:
    async with listener_harness() as harness:
        only = f"PreferredAuthentications={METHOD}"
        (await openssh(harness.port, only, env=askpass(tmp_path))).ok()
        assert questions(tmp_path) == ["(alice@127.0.0.1) Password: "]
        assert harness.logged("login.accepted")[0]["method"] == METHOD
        refused = (await openssh(harness.port, only, env=askpass(tmp_path, "wrong"))).failed()
        assert "Permission denied" in refused.text
        assert len(questions(tmp_path)) == 1 + 3


async def test_paramiko_and_dropbear_log_in_by_it(tmp_path: Path) -> None:
    def log_in(port: int) -> None:
        with paramiko.Transport(("127.0.0.1", port)) as transport:
            transport.start_client(timeout=20)
            transport.auth_interactive("alice", lambda _name, _text, prompts: [PASSWORD for _ in prompts])
            assert transport.is_authenticated()

    async with listener_harness() as harness:
        await asyncio.to_thread(log_in, harness.port)
        await dbclient(harness.port, tmp_path)
        assert [entry["method"] for entry in harness.logged("login.accepted")] == [METHOD, METHOD]


def _text(value: str) -> bytes:
    return len(value.encode()).to_bytes(4, "big") + value.encode()


def _request(user: str) -> tuple[int, bytes]:
    return 50, b"".join(map(_text, (user, "ssh-connection", METHOD, "", "")))


def _response(password: str) -> tuple[int, bytes]:
    return 61, (1).to_bytes(4, "big") + _text(password)


async def _raw(
    harness: ListenerHarness, packets: Sequence[tuple[int, bytes]], pause: float = 0
) -> tuple[int, bool]:
    """Have a question asked, then send packets; how many questions came, and whether the server left."""
    ready, asked, ended = asyncio.Event(), 0, False

    class Silent(asyncssh.SSHClient):
        def connection_made(self, conn: Any) -> None:
            self.conn = conn

        def kbdint_auth_requested(self) -> str:
            return ""

        async def kbdint_challenge_received(self, *_: object) -> Sequence[str]:
            nonlocal asked
            asked += 1
            ready.set()
            await asyncio.Event().wait()
            return ()

    client = Silent()
    waiting = asyncio.create_task(
        harness.connect(password=None, client_factory=lambda: client, preferred_auth=METHOD)
    )
    try:
        for kind, payload in packets:
            await asyncio.wait_for(ready.wait(), 20)
            if kind == 50:
                ready.clear()
            if client.conn.is_closed():
                break
            client.conn.send_packet(kind, payload)
            await asyncio.sleep(pause)
            if kind == 50:
                left = asyncio.create_task(client.conn.wait_closed())
                question = asyncio.create_task(ready.wait())
                await asyncio.wait({left, question}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
                ended = left.done()
                for task in (left, question):
                    task.cancel()
                if ended:
                    break
        if not ended and packets[-1][0] != 50:
            await asyncio.wait_for(client.conn.wait_closed(), 20)
        return asked, ended
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


@pytest.mark.parametrize("method", [METHOD, "password"])
@pytest.mark.parametrize("secret", [f"{PASSWORD}\0".encode(), b"\xff\xfe"], ids=["NUL", "not UTF-8"])
async def test_a_secret_that_is_no_text_is_refused_and_counted(method: str, secret: bytes) -> None:
    def attempt(port: int) -> list[str]:
        with paramiko.Transport(("127.0.0.1", port)) as transport:
            transport.start_client(timeout=20)
            with pytest.raises(paramiko.AuthenticationException):
                if method == METHOD:
                    transport.auth_interactive("alice", lambda *_: [secret])
                else:
                    transport.auth_password("alice", secret, fallback=False)
            assert transport.is_active()
            return transport.auth_password("alice", PASSWORD, fallback=False)

    async with listener_harness() as harness:
        assert await asyncio.to_thread(attempt, harness.port) == []
        assert [entry["method"] for entry in harness.logged("login.failed")] == [method]
