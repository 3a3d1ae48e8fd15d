"""Nothing that an operator can cause is told by a traceback: every command, under each of many misfortunes.

The commands are those that the command line itself has, so that a new one is tried as well.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import click
import pytest
from pydantic_core import SchemaError

from s3sftp.cli import main
from s3sftp.cli.error_messages import reported_errors
from tests.cli.command_process import clean_environment, write_key_pair

NOBODY_LISTENS = "http://127.0.0.1:9"
ARGUMENTS = {
    "audit verify": ["audit.log"],
    "bans add": ["192.0.2.1", "--for", "1h"],
    "bans lift": ["192.0.2.1"],
    "events replay": ["--all"],
    "serve": ["--backend", "memory", "--host", "127.0.0.1", "--port", "0", "--user", "a"],
    "check": ["--offline"],
    "demo": ["--port", "99999"],
    "health": ["--port", "9"],
    "hash-password": ["--stdin"],
    "host-key generate": ["new"],
    "host-key show": ["key"],
    "partner-sheet": ["a", "--backend", "memory"],
    "logs": ["s3sftp.log"],
    "sessions disconnect": ["a.1", "--url", NOBODY_LISTENS],
    "sessions list": ["--url", NOBODY_LISTENS],
    "top": ["--url", NOBODY_LISTENS],
    "test-login": ["a", "--from", "192.0.2.1", "--key", "key.pub"],
    "uploads abort": ["0123456789ab"],
    "uploads show": ["0123456789ab"],
    "users show": ["a"],
}
"""What a command needs to get as far as its own work, and to end soon. One that is not here gets nothing."""
NEED_KEYS = {"serve", "partner-sheet"}


def commands() -> list[str]:
    """Every command that people call, with those of groups."""
    context = click.Context(main)
    found = []
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        if isinstance(command, click.Group):
            found += [f"{name} {below}" for below in command.list_commands(context)]
        else:
            found.append(name)
    return found


def options_of(command: str) -> set[str]:
    here: click.Command | None = main
    for word in command.split():
        assert isinstance(here, click.Group)
        here = here.get_command(click.Context(here), word)
    assert here is not None
    return {option for parameter in here.params for option in parameter.opts}


COMMANDS = commands()
each_command = pytest.mark.parametrize("command", COMMANDS)
SOME = ("serve", "check", "users show", "bans list")
"""One of each kind, for what happens alike in all of them."""
some_commands = pytest.mark.parametrize("command", SOME)


class Shell:
    """Runs commands in a directory of their own, by a shell that sets descriptors and limits before."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def run(
        self,
        command: str,
        *,
        before: str = "",
        behind: str = "",
        more: tuple[str, ...] = (),
        python: str = "",
        **environ: str | bytes,
    ) -> subprocess.CompletedProcess[bytes]:
        arguments = [*command.split(), *ARGUMENTS.get(command, []), *more]
        if command in NEED_KEYS:
            arguments += ["--authorized-keys", "key.pub"]
        script = f'{before} exec "$@" {behind}'
        program = [sys.executable, *python.split(), "-m", "s3sftp", *arguments]
        environment: dict[str, str | bytes] = {**clean_environment(), **environ}
        environment.setdefault("HOME", str(self.directory))
        environment.setdefault("XDG_STATE_HOME", str(self.directory))
        environment.setdefault("S3SFTP_S3__BUCKET", "nowhere")
        environment.setdefault(
            "AWS_EC2_METADATA_DISABLED", "true"
        )  # else the search for a role takes seconds
        return subprocess.run(
            ["sh", "-c", script, "sh", *program],
            cwd=self.directory,
            env={name: text for name, text in environment.items() if text != "unset"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    write_key_pair(tmp_path / "key")
    return Shell(tmp_path)


def told(done: subprocess.CompletedProcess[bytes], *status: int) -> str:
    """What it said: no traceback, few lines, and one of the exit statuses."""
    text = (done.stdout + done.stderr).decode(errors="backslashreplace")
    assert "Traceback" not in text, text
    assert "Exception ignored" not in text, text
    assert "never awaited" not in text, text
    assert done.returncode in (status or (0, 1, 2)), text
    return text


def complained(done: subprocess.CompletedProcess[bytes], *status: int) -> str:
    """The same of a command that cannot work: it says so in a few lines."""
    text = told(done, *(status or (1, 2)))
    assert 1 <= len(done.stderr.splitlines()) <= 8, text
    return text


# ── files of configuration


CONFIGURATIONS = {
    "missing": (None, "No such file"),
    "directory": ("directory", "Is a directory"),
    "dangling": ("link", "No such file"),
    "loop": ("loop", "Too many levels"),
    "not text": (b"\xff\xfe\x00", "not UTF-8"),
    "not TOML": (b"[s3\n", "not valid TOML"),
    "nested": (b"a = " + b"[" * 100_000, "not valid TOML"),
    "below a file": ("below a file", "Not a directory"),
}


def with_configuration(directory: Path, content: bytes | str | None) -> str:
    file = directory / "options.toml"
    if content == "directory":
        file.mkdir()
    elif content == "link":
        file.symlink_to("nowhere")
    elif content == "loop":
        file.symlink_to(file.name)
    elif content == "below a file":
        file.touch()
        return f"{file}/options.toml"
    elif isinstance(content, bytes):
        file.write_bytes(content)
    return str(file)


@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_a_configuration_that_cannot_be_read_is_named_with_the_reason(shell: Shell, kind: str) -> None:
    content, reason = CONFIGURATIONS[kind]
    file = with_configuration(shell.directory, content)
    text = complained(shell.run("check", more=("--config", file)), 2)
    assert file in text
    assert reason in text


@pytest.mark.parametrize("command", [each for each in COMMANDS if "--config" in options_of(each)])
def test_every_command_with_a_configuration_names_the_one_that_it_cannot_read(
    shell: Shell, command: str
) -> None:
    done = shell.run(command, more=("--config", "nowhere.toml"), S3SFTP_CONFIG="elsewhere.toml")
    # `health` tells health checks of all that is wrong by 1
    assert "cannot read nowhere.toml: No such file" in complained(done, 1 if command == "health" else 2)


WRONG_OPTIONS = f"""
backend = 5
s3 = 5
ssh = [1]
users.a = "x"
[log]
level = {{a = 1}}
[listen]
port = {10**30}
[local]
roott = "x"
[lisen]
port = 1
[server]
state_dir = "a\\u0000b"
drain_timeout = inf
worker_timeout = 2026-01-01
[auth]
ban_failures = [1]
"""
NAMED = (
    "backend = 5",
    "s3 = 5 (options.toml, line 3): should be a table of options",
    "ssh = [1] (options.toml, line 4): should be a table of options",
    "users.a = 'x' (options.toml, line 5): should be a table of options",
    "log.level",
    "listen.port",
    "did you mean 'root'",
    "did you mean 'listen'",
    "server.state_dir",
    "server.drain_timeout = inf",
    "server.worker_timeout",
    "auth.ban_failures = [1]",
)


def test_each_wrong_option_is_named_with_its_value_and_what_would_be_right(shell: Shell) -> None:
    (shell.directory / "options.toml").write_text(WRONG_OPTIONS)
    done = shell.run("check", more=("--config", "options.toml"), S3SFTP_S3__BUCKET="unset")
    text = told(done, 2)
    assert [name for name in NAMED if name not in text] == [], text


WRONG_VARIABLES: dict[str, str | bytes] = {
    "S3SFTP_LISTEN__PORT": b"\xff",
    "S3SFTP_LISTEN__HOST": b"\xff\xfe",
    "S3SFTP_SERVER__STATE_DIR": b"\xff",
    "S3SFTP_USERS": "x",
    "S3SFTP_LOG__LEVEL": "loud",
    "S3SFTP_S3__PART_BYTES": "8 miles",
    "S3SFTP_SSH__HOST_KEYS": "[",
    "S3SFTP_ADMIN__PORT": "x",
    "S3SFTP_ADMIN__HOST": b"\xff",
}


def test_each_wrong_variable_is_named(shell: Shell) -> None:
    text = told(shell.run("check", **WRONG_VARIABLES), 2)
    for name in ("LISTEN__PORT", "LOG__LEVEL", "S3__PART_BYTES", "ADMIN__PORT"):
        assert f"(environment S3SFTP_{name})" in text


@each_command
def test_every_command_survives_wrong_variables(shell: Shell, command: str) -> None:
    told(shell.run(command, **WRONG_VARIABLES))


# ── streams


@pytest.mark.parametrize(
    ("command", "behind"),
    [*((command, ">&- 2>&- <&-") for command in COMMANDS), *((command, "2>/dev/full") for command in SOME)],
)
def test_streams_may_be_closed_or_full(shell: Shell, command: str, behind: str) -> None:
    if command == "serve":
        told(shell.run(command, behind=behind, more=("--port", "99999")), 2)
    else:
        told(shell.run(command, behind=behind))


@some_commands
def test_output_that_cannot_be_written_is_told_in_one_line(shell: Shell, command: str) -> None:
    text = complained(shell.run(command, behind=">/dev/full", more=("--help",)), 1)
    assert text == "s3sftp: cannot write to standard output: No space left on device\n"


@some_commands
def test_whoever_reads_the_output_may_stop(shell: Shell, command: str) -> None:
    done = shell.run(command, before="{ sleep 1;", behind="--help; } | true; exec true")
    told(done, 0)


# ── limits, and what the environment lacks


@each_command
def test_few_descriptors_are_told(shell: Shell, command: str) -> None:
    told(shell.run(command, before="ulimit -n 5;", more=stopped_soon(command)))


@pytest.mark.parametrize("command", ["serve", "check", "hash-password"])
def test_little_memory_is_told(shell: Shell, command: str) -> None:
    told(shell.run(command, before="ulimit -v 200000;", more=stopped_soon(command)))


@each_command
def test_an_odd_environment_changes_nothing(shell: Shell, command: str) -> None:
    environ = {"LC_ALL": "xx_XX.nowhere", "COLUMNS": "1", "TERM": "unset", "HOME": "unset", "PATH": "unset"}
    environ |= {"TMPDIR": "/nowhere", "TZ": ":nowhere"}
    text = told(shell.run(command, more=stopped_soon(command), python="-O -I -W error", **environ))
    assert "Warning" not in text


def stopped_soon(command: str) -> tuple[str, ...]:
    """Arguments with which a command that serves ends by itself."""
    return ("--host", "192.0.2.1") if command == "serve" else ()


# ── addresses


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


@pytest.mark.parametrize(("host", "workers"), [("192.0.2.1", "2"), ("a..b", "2"), ("256.1.1.1", "1")])
def test_an_address_that_is_not_ours_is_told_with_it(shell: Shell, host: str, workers: str) -> None:
    options = ("--backend", "local", "--host", host, "--workers", workers)
    environ = {"S3SFTP_LOCAL__ROOT": str(shell.directory)}
    text = complained(shell.run("serve", more=options, **environ), 1)
    assert host in text.splitlines()[-1]


def test_a_port_in_use_is_told(shell: Shell, taken_port: int) -> None:
    text = complained(shell.run("serve", more=("--port", str(taken_port))), 1)
    assert f"cannot listen on 127.0.0.1:{taken_port}: Address already in use" in text


# ── host keys


def key_files(directory: Path) -> dict[str, str]:
    """Files that are no host keys, and what is said of each."""
    key = asyncssh.read_private_key(directory / "key")
    key.write_private_key(str(directory / "locked"), passphrase="secret")
    key.write_private_key(str(directory / "locked.pem"), "pkcs8-pem", passphrase="secret")
    asyncssh.generate_private_key("ssh-dss").write_private_key(str(directory / "dsa"))
    asyncssh.generate_private_key("ssh-rsa", key_size=1024).write_private_key(str(directory / "rsa"))
    (directory / "empty").touch()
    (directory / "noise").write_bytes(bytes(range(256)) * 10)
    (directory / "directory").mkdir()
    (directory / "dangling").symlink_to("nowhere")
    return {
        "locked": "passphrase",
        "locked.pem": "passphrase",
        "dsa": "ssh-dss",
        "key.pub": "public key",
        "empty": "not a usable private key",
        "noise": "not a usable private key",
        "directory": "Is a directory",
        "dangling": "No such file",
        "missing": "No such file",
        "/dev/zero": "larger than",
    }


def test_what_is_no_host_key_is_named_with_the_reason(shell: Shell) -> None:
    files = key_files(shell.directory)
    text = told(shell.run("serve", S3SFTP_SSH__HOST_KEYS=",".join(files)), 2)
    for file, reason in files.items():
        assert re.search(rf"host key {re.escape(file)}\b.*{reason}", text), (file, text)


@pytest.mark.parametrize("file", ["dsa", "directory", "", "x" * 5000])
def test_host_key_show_says_what_is_wrong(shell: Shell, file: str) -> None:
    key_files(shell.directory)
    environ = {**clean_environment(), "HOME": str(shell.directory)}
    done = subprocess.run(
        [sys.executable, "-m", "s3sftp", "host-key", "show", file],
        cwd=shell.directory, env=environ, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    complained(done, 2)


# ── Ctrl-C


def catches_interrupts(process: subprocess.Popen[bytes]) -> bool:
    """Whether Ctrl-C becomes an exception, rather than the end of the process."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = re.search(r"^SigCgt:\s*(\w+)$", status, re.M)
    return caught is not None and bool(int(caught[1], 16) & (1 << (signal.SIGINT - 1)))


@pytest.mark.parametrize(
    ("command", "stage"),
    [(command, "starting") for command in COMMANDS]
    + [(command, stage) for command in ("serve", "check", "demo") for stage in ("0", "0.1", "1")],
)
def test_ctrl_c_ends_a_command_at_any_time(shell: Shell, command: str, stage: str) -> None:
    arguments = [*command.split(), *(each for each in ARGUMENTS.get(command, []) if each != "99999")]
    if command == "demo":
        arguments = ["demo", "--dir", "demo", "--port", "0"]
    if command == "check":
        arguments = ["check", "--endpoint-url", NOBODY_LISTENS]
    if command in NEED_KEYS:
        arguments += ["--authorized-keys", "key.pub"]
    environ = {
        **clean_environment(),
        "HOME": str(shell.directory),
        "XDG_STATE_HOME": str(shell.directory),
        "S3SFTP_S3__BUCKET": "nowhere",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    # who runs the tests may have it ignored, which is inherited
    run = [
        "env",
        "--default-signal=INT",
        sys.executable,
        "-c",
        "import s3sftp.__main__; s3sftp.__main__.main()",
    ]
    process = subprocess.Popen(
        [*run, *arguments], cwd=shell.directory, env=environ, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        # Python itself, until it runs anything of ours; then the command is imported; then it runs
        stages = [True, False] if stage == "starting" else [True, False, True]
        for caught in stages:
            # a stage may be over before it is seen: then the next one will do
            until = time.monotonic() + 20
            while process.poll() is None and catches_interrupts(process) is not caught:
                if time.monotonic() > until:
                    break
                time.sleep(0.001)
        if stage != "starting":
            time.sleep(float(stage))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    done = subprocess.CompletedProcess(process.args, process.returncode, output, errors)
    told(done, -signal.SIGINT, 0, 1)


def test_ctrl_c_while_pydantic_builds_a_validator_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """Its compiled code then raises an error of its own, which a real run meets only now and then."""
    with pytest.raises(SystemExit) as ended, reported_errors():
        raise SchemaError('Error building "literal" validator:\n  KeyboardInterrupt: ')
    assert (ended.value.code, capsys.readouterr().err) == (1, "Aborted!\n")
    with pytest.raises(SchemaError), reported_errors():
        raise SchemaError("Unknown schema type")
