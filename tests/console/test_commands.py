"""`s3sftp top` and `s3sftp sessions` ask a running server, and progress bars are for terminals alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path
from time import monotonic

import asyncssh
import pytest
from click.testing import CliRunner

from s3sftp.cli import main
from testbed.processes import free_port
from tests.cli.command_process import clean_environment, s3sftp
from tests.console.console_server import ConsoleServer
from tests.support.commands import Result


async def command(*words: str, **environ: str) -> Result:
    """Run a command of ours to its end."""
    done = await asyncio.to_thread(s3sftp, *words, **environ)
    return Result(words, done.returncode, done.stdout.encode(), done.stderr.encode())


def called(*words: str) -> Result:
    """The same in this process, which takes no second to start."""
    done = CliRunner().invoke(main, words, prog_name="s3sftp")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return Result(words, done.exit_code, done.stdout.encode(), done.stderr.encode())


class Terminal:
    """A command in a terminal of 120 columns and 50 lines."""

    def __init__(self, *words: str) -> None:
        self._master, slave = pty.openpty()
        self.text = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "s3sftp", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=clean_environment(TERM="xterm", COLUMNS="120", LINES="50"),
            start_new_session=True,
        )
        os.close(slave)

    def until(self, wanted: str, timeout: float = 60) -> None:
        """Wait until it has drawn a text."""
        deadline = monotonic() + timeout
        while wanted not in self.text:
            assert monotonic() < deadline, f"no {wanted!r} in {self.text[-3000:]!r}"
            self._read()

    def press(self, key: str) -> None:
        os.write(self._master, key.encode())

    def ended(self, timeout: float = 60) -> int:
        """Its exit status."""
        deadline = monotonic() + timeout
        while self._process.poll() is None:
            assert monotonic() < deadline, "it does not end"
            self._read()
        self._read()
        return self._process.returncode

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        os.close(self._master)

    def _read(self) -> None:
        ready, _, _ = select.select([self._master], [], [], 0.2)
        if ready:
            with contextlib.suppress(OSError):  # the other end is closed
                self.text += os.read(self._master, 1 << 16).decode("utf-8", "replace")


@contextlib.contextmanager
def terminal(*words: str):  # type: ignore[no-untyped-def]
    started = Terminal(*words)
    try:
        yield started
    finally:
        started.close()


async def test_top_prints_once_in_a_pipe_what_the_api_says(server: ConsoleServer) -> None:
    with pytest.raises((asyncssh.Error, OSError)):
        await server.connect("127.0.0.64", client_keys=None, password="wrong")
    connection = await server.connect()
    async with connection, connection.start_sftp_client() as sftp:
        file = await sftp.open("/\x1b[2J[bold]x.csv", "wb")
        await file.write(b"x" * 12_345)
        (session,) = (await server.api("sessions"))["items"]
        text = (await command("top", *server.where)).ok().out.decode()
        assert "\x1b" not in text
        assert "↑ /\\x1b[2J[bold]x.csv" in text
        assert "12.3 kB" in text
        assert session["id"] in text
        assert session["peer"] in text
        for title in ("Transfers now (1)", "Sessions (1)", "Failed logins, the latest (1)", "Bans (0)"):
            assert title in text
        assert "ready" in text.splitlines()[0]
        await file.close()


async def test_top_refreshes_in_a_terminal_until_q_is_pressed(server: ConsoleServer) -> None:
    def watch() -> None:
        with terminal("top", "--interval", "0.5", *server.where) as top:
            top.until("Nobody is connected".lower())
            asyncio.run_coroutine_threadsafe(hold(), loop).result(60)
            top.until("/held-[bold].csv")
            top.press("x")
            top.press("q")
            assert top.ended() == 0
            assert "\x1b[?1049l" in top.text  # the screen of before is back

    async def hold() -> None:
        connection = await stack.enter_async_context(await server.connect())
        sftp = await stack.enter_async_context(connection.start_sftp_client())
        await sftp.open("/held-[bold].csv", "wb")

    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        await asyncio.to_thread(watch)


async def test_sessions_are_listed_and_one_is_disconnected(server: ConsoleServer) -> None:
    connection = await server.connect()
    async with connection, connection.start_sftp_client() as sftp:
        (session,) = (await server.api("sessions"))["items"]
        head, row = (await command("sessions", *server.where)).ok().out.decode().splitlines()
        assert head.split()[:4] == ["session", "user", "from", "client"]
        assert row.split()[:3] == [session["id"], "alice", session["peer"]]
        found = json.loads((await command("sessions", "list", "--json", *server.where)).ok().out)
        assert [each["id"] for each in found] == [session["id"]]
        other = await command("sessions", "list", "--user", "bob", "--json", *server.where)
        assert json.loads(other.ok().out) == []
        said = await command("sessions", "disconnect", session["id"], *server.where)
        assert "is being disconnected" in said.ok().text
        await asyncio.wait_for(connection.wait_closed(), 60)
        with pytest.raises((asyncssh.Error, OSError)):
            await sftp.listdir("/")
    gone = await command("sessions", "disconnect", session["id"], *server.where)
    assert (gone.status, "no session" in gone.text) == (1, True), gone


async def test_the_server_is_found_by_its_configuration(server: ConsoleServer) -> None:
    assert "session" in (await command("sessions", S3SFTP_CONFIG=str(server.config_file))).ok().text


async def test_what_keeps_a_command_from_the_server_is_said(server: ConsoleServer, tmp_path: Path) -> None:
    wrong, empty = tmp_path / "wrong", tmp_path / "empty"
    wrong.write_text("x" * 40)
    empty.touch()
    nobody = f"http://127.0.0.1:{free_port()}"
    token = str(server.token_file)
    for words, status, reason in (
        (["top"], 2, "there is no admin port to ask: set admin.port, or give --url"),
        (["top", "--url", nobody], 1, "no answer from 127.0.0.1 port"),
        (["sessions", "--url", server.admin_url], 1, "it asks for a token: give --token-file"),
        (["top", "--url", server.admin_url, "--token-file", str(wrong)], 1, "the token is wrong"),
        (["top", "--url", server.admin_url, "--token-file", str(empty)], 2, "there is no token"),
        (
            ["sessions", "--url", "127.0.0.1", "--token-file", token],
            2,
            "should be like http://127.0.0.1:9090",
        ),
        (
            ["sessions", "--url", f"https://127.0.0.1:{server.admin_port}", "--token-file", token],
            1,
            "no TLS with 127.0.0.1",
        ),
        (
            ["sessions", "--url", f"{server.store.endpoint_url}", "--token-file", token],
            1,
            f"{server.store.endpoint_url.rpartition(':')[2]}",
        ),
    ):
        said = await asyncio.to_thread(called, *words)
        assert (said.status, reason in said.text) == (status, True), said
        assert "Traceback" not in said.text


def test_progress_is_shown_on_a_terminal_and_nowhere_else(tmp_path: Path) -> None:
    file = tmp_path / "users.toml"
    file.write_text('[users.alice]\npassword_hash = "x"\n')
    piped = s3sftp("users", "check", str(file))
    assert "Reading the users" not in piped.stdout + piped.stderr
    with terminal("users", "check", str(file)) as shown:
        shown.until("Reading the users")
        shown.ended()
