"""The quick start, word by word: in a copy of the repository, with an environment that `pip` makes."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed.processes import Process, free_port
from testbed.s3_store import Store
from tests.cli.command_process import clean_environment
from tests.docs.guides import blocks
from tests.support.commands import installed
from tests.support.source_copy import checkout

SERVERS = ("s3sftp demo", "s3sftp serve")


class Terminal:
    """Shells in one directory, in which the environment is active; ports are free ones."""

    def __init__(self, directory: Path, environ: dict[str, str]) -> None:
        self.directory = directory
        self.environ = environ
        self.port = free_port()

    def here(self, line: str) -> str:
        """A line of the page, with a free port, and with no questions."""
        line = line.replace("-P 2022", f"-P {self.port}").replace("sftp -P", "sftp -F none -b - -P")
        if line.startswith("s3sftp partner-sheet"):
            line = line.replace("--host", f"--port {self.port} --host")
        return f"{line} --port {self.port}" if line.startswith(SERVERS) else line

    def run(self, line: str, stdin: str = "") -> str:
        """A line, to its end; what it prints."""
        active = self.directory / ".venv/bin/activate"
        script = f"set -e\n{f'. {active}' if active.exists() else ''}\n{self.here(line)}"
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            input=stdin,
            cwd=self.directory,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def running(self, line: str, ready: str) -> Iterator[Process]:
        """A server of the page, until the block ends: by Ctrl-C, as the page says."""
        words = self.here(line).split()
        command = [str(self.directory / ".venv/bin" / words[0]), *words[1:]]
        log = self.directory / f"{words[1]}.log"
        process = Process(command, log, cwd=self.directory, env=self.environ)
        try:
            process.wait_ready(lambda: ready in process.output(), 120)
            yield process
            process.send(signal.SIGINT)
            assert process.wait(90) == 0, process.output()
        finally:
            process.kill()


def lines_of(block: str) -> list[tuple[str, str]]:
    """Each line to type, and what is typed into the program that it starts."""
    found: list[tuple[str, str]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        else:
            command, typed = found[-1]
            found[-1] = (command, f"{typed}{line.removeprefix('sftp> ')}\n")
    return found


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """In a checkout of the repository, as the page says."""
    checkout(tmp_path / "s3sftp")
    return Terminal(tmp_path / "s3sftp", clean_environment())


@pytest.mark.timeout(600)
def test_the_quick_start_works_word_by_word(terminal: Terminal, store: Store) -> None:
    installed("sftp")
    installed("ssh-keygen")
    setup, first, *others = blocks("quick-start.md", "console")
    *steps, (demo, _) = lines_of(setup)
    for line, typed in steps:
        terminal.run(line, typed)
    with terminal.running(demo, "Other clients") as process:
        assert f"sftp -P {terminal.port} -i" in process.output()
        shown = "".join(terminal.run(line, typed) for line, typed in lines_of(first))
        assert "greeting.txt" in shown
        assert (terminal.directory / "hello.txt").read_text() == "hello\n"

    bucket = "acme-exchange"
    (config,) = blocks("quick-start.md", "toml")
    assert f'bucket = "{bucket}"' in config
    (terminal.directory / "s3sftp.toml").write_text(config)
    store.make_bucket(bucket)
    terminal.environ |= store.environment()
    terminal.environ |= {"S3SFTP_S3__ENDPOINT_URL": store.endpoint_url, "S3SFTP_S3__ADDRESSING": "path"}
    try:
        keys, check, serve, last = others
        for block in (keys, check):
            for line, typed in lines_of(block):
                terminal.run(line, typed)
        ((line, _),) = lines_of(serve)
        with terminal.running(line, "event=server.started") as process:
            for line, typed in lines_of(last):
                shown = terminal.run(line, typed)
            assert "greeting.txt" in shown
            process.wait_ready(lambda: "event=upload.committed" in process.output(), 10)
        listed = store.blocking_client.list_objects_v2(Bucket=bucket)
        assert "partners/alice/inbox/greeting.txt" in [each["Key"] for each in listed["Contents"]]
    finally:
        store.drop_bucket(bucket)


def test_the_page_needs_no_program_that_it_does_not_name() -> None:
    named = {"python3", ".", "pip", "s3sftp", "echo", "sftp", "ssh-keygen", "grep"}
    typed = [line for block in blocks("quick-start.md", "console") for line, _ in lines_of(block)]
    assert {re.split(r"\s", line)[0] for line in typed} == named
