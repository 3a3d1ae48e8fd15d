"""Limits of users, seen by OpenSSH, rclone and lftp on a server of two workers, and changed while it runs.

The times that these tests assert are lower bounds that follow from the rates, or deadlines of half a minute.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import paramiko
import pytest

from testbed.processes import wait_until
from tests.cli.command_process import batch, sftp_command
from tests.cli.mounted_secret import Partners
from tests.support.commands import installed

MIB = 1 << 20
SLOW = "upload_bytes_per_second = '2 MiB'\ndownload_bytes_per_second = '2 MiB'"
"""2 MiB at once after a pause, then 2 MiB in a second."""


@pytest.fixture
def partners(tmp_path: Path) -> Iterator[Partners]:
    """A server of two workers, which says how a user's sessions are limited by default: three of them."""
    made = Partners(tmp_path, 2)
    made.options["limits"] = {"max_sessions": 3}
    made.mount("alice", "bob")
    with made.serving():
        yield made


def limited(partners: Partners, name: str, limits: str, kind: str = "users", **options: object) -> str:
    """A user, or a group, with limits as TOML."""
    table = partners.table(name, **options) if kind == "users" else f"[groups.{name}]\n"
    return f"{table}\n[{kind}.{name}.limits]\n{limits}\n"


def sessions(partners: Partners, stack: ExitStack, name: str, most: int = 10) -> list[paramiko.SFTPClient]:
    """As many sessions as the user gets, each by a connection of its own."""
    opened: list[paramiko.SFTPClient] = []
    while len(opened) < most:
        try:
            session = stack.enter_context(partners.session(name))
        except paramiko.ChannelException as refusal:
            assert refusal.code == 4  # a shortage of resources
            break
        assert session.listdir("/") == []
        opened.append(session)
    return opened


def test_openssh_is_told_that_there_are_too_many_sessions_and_others_get_in(partners: Partners) -> None:
    with ExitStack() as stack:
        assert len(sessions(partners, stack, "alice")) == 3
        refused = partners.sftp("alice")
        assert refused.returncode == 255
        assert "too many sessions of this user" in refused.stderr
        assert partners.sftp("bob").returncode == 0
    wait_until(lambda: partners.sftp("alice").returncode == 0, 30, "a session to be free")


def test_users_own_limits_come_before_groups_and_these_before_the_servers_and_0_lifts_one(
    partners: Partners,
) -> None:
    partners.mount(
        "alice",
        "bob",
        groups=limited(partners, "small", "max_sessions = 1", "groups"),
        carol=partners.table("carol", group="small"),
        dave=limited(partners, "dave", "max_sessions = 2", group="small"),
        erin=limited(partners, "erin", "max_sessions = 0", group="small"),
    )
    partners.until_reloaded()
    wait_until(lambda: partners.gets_in("erin"), 30, "both workers to know")
    wait_until(lambda: partners.gets_in("erin"), 30, "both workers to know")
    for name, expected in (("alice", 3), ("carol", 1), ("dave", 2), ("erin", 6)):
        with ExitStack() as stack:
            assert len(sessions(partners, stack, name, most=6)) == expected, name


def test_a_changed_number_of_sessions_holds_for_the_next_session_and_ends_none(partners: Partners) -> None:
    with ExitStack() as stack:
        opened = sessions(partners, stack, "alice")
        assert len(opened) == 3
        partners.mount("bob", alice=limited(partners, "alice", "max_sessions = 5"))
        change = partners.until("user.changed")
        assert change["after"]["limits"]["max_sessions"] == 5
        # also on a connection that was there before
        transport = opened[0].get_channel().get_transport()

        def one_more() -> bool:
            try:
                opened.append(paramiko.SFTPClient.from_transport(transport))
            except paramiko.ChannelException:
                return False
            return True

        wait_until(one_more, 30, "the change to arrive")
        assert len(sessions(partners, stack, "alice")) == 1
        partners.mount("bob", alice=limited(partners, "alice", "max_sessions = 1"))
        partners.until("user.changed", 2)
        assert all(each.listdir("/") == [] for each in opened)
        wait_until(lambda: not _gets_session(partners), 30, "the change to arrive")


def fill(session: paramiko.SFTPClient, name: str, most: int = 10) -> list[paramiko.SFTPFile]:
    """As many files as the user gets to have open; the rest is refused with the reason."""
    opened: list[paramiko.SFTPFile] = []
    while len(opened) < most:
        try:
            opened.append(session.open(f"/{name}-{len(opened)}", "w"))
        except OSError as refusal:
            assert "too many open files of this user (at most 5 in all sessions)" in str(refusal)
            break
    return opened


def test_a_user_has_so_many_files_open_over_all_sessions_and_workers(partners: Partners) -> None:
    partners.mount("bob", alice=limited(partners, "alice", "max_handles = 5"))
    partners.until_reloaded()
    wait_until(lambda: partners.gets_in("alice"), 30, "both workers to know")
    with ExitStack() as stack:
        first, second, third = sessions(partners, stack, "alice", most=3)
        held, opened = fill(first, "a", most=3), fill(second, "b")
        assert (len(held), len(opened)) == (3, 2)
        with pytest.raises(OSError, match="too many open files of this user"):
            third.listdir("/")  # a directory is one too
        assert len(fill(stack.enter_context(partners.session("bob")), "c", most=6)) == 6
        opened[0].close()
        assert len(third.listdir("/")) == 1
        first.get_channel().get_transport().close()  # type: ignore[union-attr]
        wait_until(lambda: len(fill(third, "d", most=1)) == 1, 30, "the files of the lost connection")


def test_a_changed_number_of_handles_holds_for_sessions_that_are_open(partners: Partners) -> None:
    with ExitStack() as stack:
        (session,) = sessions(partners, stack, "alice", most=1)
        opened = fill(session, "a", most=6)
        assert len(opened) == 6
        partners.mount("bob", alice=limited(partners, "alice", "max_handles = 5"))
        wait_until(lambda: not fill(session, "b", most=1), 30, "the change to arrive")
        opened[0].write(b"still open")
        for each in opened:
            each.close()
        opened = fill(session, "c")
        assert len(opened) == 5


def _gets_session(partners: Partners) -> bool:
    return partners.sftp("alice").returncode == 0


def files(partners: Partners, count: int, size: int) -> list[Path]:
    directory = partners.directory / "local"
    directory.mkdir()
    made = [directory / f"file-{number}" for number in range(count)]
    for each in made:
        each.write_bytes(os.urandom(size))
    return made


def started(partners: Partners, name: str, lines: str) -> subprocess.Popen[str]:
    """OpenSSH's sftp as this user, running."""
    command = sftp_command(partners.server.port, partners.key(name), user=name)
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin is not None
    with process.stdin as stdin:
        stdin.write(lines)
    return process


def stored(partners: Partners, name: str) -> dict[str, bytes]:
    folder = partners.files / name
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_uploads_of_several_openssh_over_both_workers_keep_to_the_rate_together(partners: Partners) -> None:
    partners.mount("bob", alice=limited(partners, "alice", SLOW))
    partners.until_reloaded()
    wait_until(lambda: partners.gets_in("bob"), 30, "both workers to know")
    mine = files(partners, 3, 4 * MIB)
    time.sleep(1.5)
    began = time.monotonic()
    running = [started(partners, "alice", f"put {file}\n") for file in mine]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    assert time.monotonic() - began >= (12 - 2) / 2
    assert stored(partners, "alice") == {file.name: file.read_bytes() for file in mine}
    reached = partners.server.events("limit.reached")
    assert {(each["user"], each["limit"]) for each in reached} == {("alice", "upload")}
    assert len(reached) <= 2  # one for each worker, not one for each request


def test_a_slow_user_holds_up_nobody_and_is_fast_again_when_the_limit_is_lifted(partners: Partners) -> None:
    partners.mount("bob", alice=limited(partners, "alice", "upload_bytes_per_second = '64 KiB'"))
    partners.until_reloaded()
    (file,) = files(partners, 1, 16 * MIB)  # four minutes
    with ExitStack() as stack:
        slow = [started(partners, "alice", f"put {file} file-{number}\n") for number in range(3)]
        for process in slow:
            stack.callback(process.kill)
        partners.until("limit.reached")
        for _ in range(2):
            assert partners.sftp("bob", f"put {file} again\n").returncode == 0
        assert [process.poll() for process in slow] == [None, None, None]
        partners.mount("alice", "bob")
        partners.until_reloaded(2)
        assert [process.wait(60) for process in slow] == [0, 0, 0]
    assert set(stored(partners, "alice").values()) == {file.read_bytes()}


@pytest.fixture
def remote(partners: Partners) -> list[str]:
    """rclone with alice's files as the remote `there:`."""
    config = partners.directory / "rclone.conf"
    partners.key("alice")
    config.write_text(
        f"[there]\ntype = sftp\nhost = 127.0.0.1\nport = {partners.server.port}\nuser = alice\n"
        f"key_file = {partners.key('alice')}\nshell_type = none\n"
    )
    return [installed("rclone"), "--config", str(config), "--transfers", "4", "--retries", "1"]


def test_rclone_with_four_transfers_keeps_to_the_rate_both_ways(
    partners: Partners, remote: list[str]
) -> None:
    partners.mount("bob", alice=limited(partners, "alice", f"{SLOW}\nmax_sessions = 0"))
    partners.until_reloaded()
    mine = files(partners, 4, 3 * MIB)
    wait_until(lambda: partners.gets_in("bob"), 30, "both workers to know")
    time.sleep(1.5)
    back = partners.directory / "back"
    for source, target in ((str(mine[0].parent), "there:/in"), ("there:/in", str(back))):
        began = time.monotonic()
        subprocess.run([*remote, "copy", source, target], check=True, timeout=180)
        assert time.monotonic() - began >= (12 - 2 - 4 * 0.25) / 2  # the last request of each file is free
    assert {file.name: file.read_bytes() for file in back.iterdir()} == {
        file.name: file.read_bytes() for file in mine
    }
    limits = {each["limit"] for each in partners.server.events("limit.reached")}
    assert limits == {"upload", "download"}


def test_lftp_keeps_to_the_rate_both_ways(partners: Partners) -> None:
    partners.mount("bob", alice=limited(partners, "alice", SLOW))
    partners.until_reloaded()
    (file,) = files(partners, 1, 6 * MIB)
    wait_until(lambda: partners.gets_in("bob"), 30, "both workers to know")
    ssh = " ".join(
        [
            "ssh -a -x -F none -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o BatchMode=yes",
            f"-o IdentityAgent=none -o LogLevel=ERROR -i {partners.key('alice')}",
        ]
    )
    lines = (
        f'set sftp:connect-program "{ssh}"; set net:max-retries 1; set cmd:fail-exit yes;'
        f" open -u alice, sftp://127.0.0.1:{partners.server.port}; put {file} -o x; get x -o {file}.back; bye"
    )
    time.sleep(1.5)
    began = time.monotonic()
    subprocess.run(
        [installed("lftp"), "--norc", "-c", lines],
        check=True,
        timeout=120,
        env={"HOME": str(partners.directory), "PATH": os.environ["PATH"]},
    )
    assert time.monotonic() - began >= 2 * (6 - 2 - 0.25) / 2
    assert Path(f"{file}.back").read_bytes() == file.read_bytes()


def test_openssh_sends_requests_no_faster_than_allowed_and_all_are_carried_out(partners: Partners) -> None:
    partners.mount("bob", alice=limited(partners, "alice", "requests_per_second = 10"))
    partners.until_reloaded()
    wait_until(lambda: partners.gets_in("bob"), 30, "both workers to know")
    began = time.monotonic()
    done = batch(
        sftp_command(partners.server.port, partners.key("alice")),
        "".join(f"mkdir d{number}\n" for number in range(50)),
    )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began >= (50 - 1 - 10) / 10
    assert len(list((partners.files / "alice").iterdir())) == 50
    assert {each["limit"] for each in partners.server.events("limit.reached")} == {"requests"}
