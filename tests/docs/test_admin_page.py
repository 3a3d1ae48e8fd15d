"""The examples of docs/admin.md work as they stand there: the commands for a token, and each call by curl."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.processes import free_port
from tests.cli.command_process import Running, running, s3sftp, sftp_command, toml, write_key_pair
from tests.docs.guides import blocks
from tests.support.commands import installed

PAGE = "admin.md"
KEPT = "/etc/s3sftp/tokens"
URL = "http://127.0.0.1:9090"
BANNED = "203.0.113.7"
"""A source that the page's examples name."""


def lines(beginning: str) -> list[str]:
    """The commands of the page that begin like this."""
    found = [line for block in blocks(PAGE, "console") for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in found if line.startswith(f"$ {beginning}")]


class Operator:
    """Somebody at the machine of a server, with what the page has said to do."""

    def __init__(self, server: Running, directory: Path, port: int) -> None:
        self.server = server
        self.directory = directory
        self._port = port
        self._token = (directory / "tokens").read_text().split()[1]

    def call(self, line: str) -> Any:
        """Run a line of the page against this server; its answer, which has to be one of success."""
        installed("curl")
        assert URL in line, f"not at the address that the page has chosen: {line}"
        done = subprocess.run(
            [
                "bash",
                "-c",
                f"{line.replace(URL, f'http://127.0.0.1:{self._port}')} -sS --fail-with-body --max-time 60",
            ],
            cwd=self.directory,
            env=os.environ | {"TOKEN": self._token, "no_proxy": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def example(self, part: str) -> Any:
        """The answer to the one call of the page that has this in it."""
        (line,) = [line for line in lines("curl") if part in line]
        return self.call(line)


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    directory = tmp_path_factory.mktemp("admin-page")
    for line in [*lines("printf"), *lines("chmod")]:
        subprocess.run(["bash", "-e", "-c", line], cwd=directory, check=True)
    write_key_pair(directory / "key")
    port = free_port()
    config = directory / "s3sftp.toml"
    admin = blocks(PAGE, "toml")[0]
    assert "port = 9090" in admin
    groups = {
        "listen": {"host": "127.0.0.1", "port": 0},
        "server": {"state_dir": str(directory / "state"), "workers": 1},
        "users.alice": {
            "authorized_keys": [(directory / "key.pub").read_text().strip()],
            "directories": ["inbox"],
            "max_file_bytes": 10,
        },
    }
    here = admin.replace(KEPT, str(directory / "tokens")).replace("9090", str(port))
    config.write_text(f'backend = "memory"\n{toml(groups)}\n{here}')
    with running("serve", "--config", str(config), directory=directory) as server:
        server.wait_event("server.started")
        yield Operator(server, directory, port)


def test_the_commands_make_a_token_that_only_its_owner_can_read(operator: Operator) -> None:
    file = operator.directory / "tokens"
    name, token = file.read_text().split()
    assert (name, len(token), file.stat().st_mode & 0o777) == ("ops", 64, 0o600)


def test_sessions_are_listed(operator: Operator) -> None:
    process = subprocess.Popen(
        sftp_command(operator.server.port, operator.directory / "key"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("pwd\n")
        process.stdin.flush()
        while "Remote working directory" not in process.stdout.readline():
            assert process.poll() is None
        (session,) = operator.example("/api/v1/sessions")["items"]
        assert session["user"] == "alice"
    finally:
        process.communicate(timeout=60)


def test_transfers_that_failed_are_found(operator: Operator, tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"1")
    large.write_bytes(b"more than ten bytes")
    for file in (small, large):
        subprocess.run(
            sftp_command(operator.server.port, operator.directory / "key"),
            input=f"put {file} /inbox/{file.name}\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    operator.server.wait_event("upload.failed")
    (failed,) = operator.example("/api/v1/transfers")["items"]
    assert (failed["path"], failed["state"]) == ("/inbox/large", "failed")


def test_a_ban_is_lifted(operator: Operator) -> None:
    state = ("--state-dir", str(operator.directory / "state"))
    added = s3sftp("bans", "add", BANNED, "--for", "1h", *state)
    assert added.returncode == 0, added.stderr
    try:
        assert operator.example("/api/v1/bans")["lifted"] is True
        assert BANNED not in s3sftp("bans", "list", *state).stdout
    finally:
        s3sftp("bans", "lift", BANNED, *state)


def test_the_level_of_the_log_is_changed(operator: Operator) -> None:
    said = operator.example("/api/v1/log-level")
    assert (said["level"], said["configured"]) == ("debug", "info")


def test_a_login_is_tried(operator: Operator) -> None:
    said = operator.example("/dry-run")
    assert (said["user"], said["accepted"], said["all_allowed"]) == ("alice", True, True)


def test_every_call_of_the_page_is_tried() -> None:
    tried = ("/sessions", "/transfers", "/bans", "/log-level", "/dry-run")
    assert [line for line in lines("curl") if not any(part in line for part in tried)] == []


def test_the_table_has_every_call_of_the_api(operator: Operator) -> None:
    made = operator.call(f'curl -H "Authorization: Bearer $TOKEN" {URL}/openapi.json')
    calls = {
        f"{method.upper()} {path}"
        for path, methods in made["paths"].items()
        for method in methods
        if path.startswith("/api/")
    }
    assert calls == set(_calls_of_the_table())


def _calls_of_the_table() -> Iterator[str]:
    """Of the spans in the first column: `GET`, `PUT /api/v1/x` are two, and `…` is the path of the API."""
    text = (Path(__file__).parents[2] / "docs" / PAGE).read_text()
    for line in text.splitlines():
        cell = line.split("|")[1] if line.startswith("| `") else ""
        methods: list[str] = []
        for span in cell.split("`")[1::2]:
            method, _, path = span.partition(" ")
            methods.append(method)
            if path:
                whole = path.replace("…", "/api/v1")
                yield from (f"{each} {whole}" for each in methods if whole.startswith("/api/"))
                methods = []
