"""Users change while the server runs: added, changed, removed, by whatever way files change."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command_process import (
    batch,
    running,
    s3sftp,
    serving_from_memory,
    sftp_command,
    wait_until,
    write_key_pair,
)
from tests.cli.mounted_secret import Partners, shown
from tests.workers.worker_server import alive

one_and_two = pytest.mark.parametrize("partners", [1, 2], ids=["one process", "two workers"], indirect=True)


@pytest.fixture
def partners(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Partners]:
    """A server with alice and bob, of one process unless a test asks for more."""
    made = Partners(tmp_path, getattr(request, "param", 1))
    made.mount("alice", "bob")
    with made.serving():
        yield made


@one_and_two
def test_users_of_a_mounted_secret_come_change_and_go_with_the_swap_of_its_link(partners: Partners) -> None:
    assert partners.gets_in("alice")
    partners.mount("alice", "carol", bob=partners.table("bob", read_only=True))
    assert shown(partners.until_reloaded()) == {
        "users": 3,
        "added": 1,
        "added_users": ["carol"],
        "removed": 0,
        "changed": 1,
        "changed_users": ["bob"],
    }
    for _ in range(4):  # whichever worker it is
        assert partners.gets_in("carol")
    assert "Permission denied" in partners.sftp("bob", "mkdir x\n").stderr
    assert partners.sftp("alice", "mkdir x\n").returncode == 0
    partners.mount("alice", "carol")
    assert partners.until_reloaded(2)["removed_users"] == ["bob"]
    wait_until(lambda: not partners.gets_in("bob"), 20, "bob to be refused")
    assert partners.gets_in("alice")


def test_what_is_wrong_is_named_once_and_nothing_changes_until_it_is_mended(partners: Partners) -> None:
    partners.mount(
        "carol", bob="[users.bob\n", dave="[users.dave]\nread_ony = true\npassword_hash = 'secret!'\n"
    )
    first = partners.until("config.reload_failed", 3)
    told = partners.server.events("config.reload_failed")
    problems = "\n".join(event["problem"] for event in told)
    assert "bob.toml is not valid TOML" in problems
    assert "unknown option; did you mean 'read_only'?" in problems
    assert "should be a hash that begins with $argon2id$" in problems
    assert "secret!" not in partners.server.process.output()
    assert {event["level"] for event in told} == {"error"}
    assert first["detail"] == "the users stay as they are"
    assert partners.gets_in("alice")
    assert partners.gets_in("bob")
    assert not partners.gets_in("carol")
    assert len(partners.server.events("config.reload_failed")) == len(told)
    partners.mount("carol", "bob")
    reloaded = partners.until_reloaded()
    assert reloaded["added_users"] == ["carol"]
    assert reloaded["removed_users"] == ["alice"]
    wait_until(lambda: partners.gets_in("carol"), 20, "carol to get in")


@one_and_two
def test_a_session_of_a_user_who_is_removed_ends_and_others_go_on(partners: Partners) -> None:
    with partners.session("alice") as alice, partners.session("bob") as bob, partners.session("bob") as other:
        for each in (alice, bob, other):
            assert each.listdir("/") == []
        writing = bob.open("/half", "w")
        writing.write("half of it")
        writing.flush()
        partners.mount("alice")
        partners.until_reloaded()
        wait_until(lambda: not bob.get_channel().get_transport().is_active(), 20, "bob's session to end")
        wait_until(lambda: not other.get_channel().get_transport().is_active(), 20, "the other one to end")
        with alice.open("/whole", "w") as file:
            file.write("goes on")
    ended = partners.server.events("connection.ending")
    assert [(each["user"], each["reason"]) for each in ended] == [("bob", "the user has been removed")] * 2
    assert sorted(str(p.relative_to(partners.files)) for p in partners.files.rglob("*") if p.is_file()) == [
        "alice/whole"
    ]


@one_and_two
def test_disabling_a_user_ends_its_sessions(partners: Partners) -> None:
    with partners.session("alice") as alice, partners.session("bob") as bob:
        partners.mount("alice", bob=partners.table("bob", disabled=True))
        assert partners.until_reloaded()["changed_users"] == ["bob"]
        wait_until(lambda: not bob.get_channel().get_transport().is_active(), 20, "bob's session to end")
        assert alice.listdir("/") == []
    assert not partners.gets_in("bob")
    (ended,) = partners.server.events("connection.ending")
    assert (ended["user"], ended["reason"]) == ("bob", "the user is disabled")
    partners.mount("alice", "bob")
    wait_until(lambda: partners.gets_in("bob"), 20, "bob to get in again")


def test_a_session_of_a_user_who_is_changed_goes_on_as_it_began(partners: Partners) -> None:
    with partners.session("alice") as session:
        partners.users.write({"alice.toml": partners.table("alice", read_only=True, prefix="elsewhere/")})
        partners.until_reloaded()
        session.mkdir("/made")
    assert (partners.files / "alice" / "made").is_dir()
    assert "Permission denied" in partners.sftp("alice", "mkdir x\n").stderr


@one_and_two
def test_a_file_of_keys_that_changes_opens_to_the_new_keys_alone(partners: Partners) -> None:
    keys = partners.directory / "keys"
    keys.write_text(partners.public("first"))
    partners.users.write({"alice.toml": f"[users.alice]\nauthorized_keys_file = '{keys}'\n"})
    partners.until_reloaded()
    wait_until(lambda: partners.gets_in("alice", key="first"), 20, "the first key to open")
    keys.write_text(partners.public("second") + "ssh-dss AAAA\n")
    assert partners.until_reloaded(2)["changed_users"] == ["alice"]
    wait_until(lambda: partners.gets_in("alice", key="second"), 20, "the second key to open")
    assert not partners.gets_in("alice", key="first")
    assert partners.until("key.unusable")["source"] == str(keys)
    keys.unlink()
    assert str(keys) in partners.until("config.reload_failed")["problem"]
    assert partners.gets_in("alice", key="second")


def test_options_that_need_a_restart_are_named_and_stay_as_they_are(partners: Partners) -> None:
    partners.configure(sftp={"max_handles": 7}, local={"root": "/nowhere"}, ssh={"login_grace": "9 s"})
    named = partners.until("config.restart_required")
    assert named["options"] == ["ssh.login_grace", "local.root", "sftp.max_handles"]
    assert "/nowhere" not in str(named)
    assert partners.gets_in("alice")


def test_sighup_reads_again_at_once_and_says_so_even_if_nothing_is_different(tmp_path: Path) -> None:
    partners = Partners(tmp_path, 1)
    partners.options["server"]["reload_interval"] = 0
    partners.mount("alice")
    with partners.serving():
        partners.mount("alice", "bob")
        partners.hang_up()
        assert partners.until_reloaded()["added_users"] == ["bob"]
        assert partners.gets_in("bob")
        partners.hang_up()
        again = partners.until_reloaded(2)
        assert (again["added"], again["removed"], again["changed"]) == (0, 0, 0)
        partners.configure(server={"reload_interval": "200 ms"})
        partners.hang_up()
        partners.until_reloaded(3)
        partners.mount("alice")  # is seen without being told from now on
        assert partners.until_reloaded(4)["removed_users"] == ["bob"]


def test_a_hangup_of_the_whole_group_ends_neither_the_server_nor_a_worker(tmp_path: Path) -> None:
    partners = Partners(tmp_path, 2)
    partners.mount("alice")
    with partners.serving():
        pids = [event["pid"] for event in partners.server.events("worker.started")]
        for pid in (*pids, partners.server.process.pid):
            os.kill(pid, signal.SIGHUP)
        partners.until_reloaded()
        assert all(map(alive, pids))
        assert partners.gets_in("alice")


def test_a_hangup_with_nothing_to_read_again_is_told_and_ends_nothing(tmp_path: Path) -> None:
    write_key_pair(tmp_path / "key")
    public = (tmp_path / "key.pub").read_text().strip()
    arguments = ["serve", "--backend", "memory", "--host", "127.0.0.1", "--port", "0"]
    environ = {
        "S3SFTP_USERS__alice__AUTHORIZED_KEYS": public,
        "S3SFTP_SERVER__STATE_DIR": str(tmp_path / "s"),
    }
    with running(*arguments, directory=tmp_path, **environ) as server:
        server.wait_event("server.started")
        server.process.send(signal.SIGHUP)
        assert "flags" in server.wait_event("config.reload_skipped")["reason"]
        assert batch(sftp_command(server.port, tmp_path / "key"), "pwd\n").returncode == 0


def test_a_worker_that_takes_the_place_of_another_has_the_users_of_now(tmp_path: Path) -> None:
    partners = Partners(tmp_path, 2)
    partners.mount("alice", "bob")
    with partners.serving():
        partners.mount("alice", "carol")
        partners.until_reloaded()
        for event in partners.server.events("worker.started"):
            os.kill(event["pid"], signal.SIGKILL)
        wait_until(lambda: len(partners.server.events("worker.ready")) == 4, 30, "both to be replaced")
        for _ in range(4):
            assert partners.gets_in("carol")
            assert not partners.gets_in("bob")
        partners.mount("alice", dave=partners.table("dave"), bob=partners.table("bob"))
        partners.until_reloaded(2)
        for _ in range(4):
            wait_until(lambda: partners.gets_in("bob"), 20, "bob to be back")
            assert not partners.gets_in("carol")


def test_users_that_change_while_the_server_starts_are_not_missed(tmp_path: Path) -> None:
    partners = Partners(tmp_path, 1)
    partners.mount("alice")
    partners.configure()
    with running("serve", "--config", str(partners.config), directory=tmp_path) as server:
        partners.attach(server)
        wait_until(lambda: bool(server.process.output()), 30, "the first line of the log")
        partners.mount("bob")
        server.wait_event("server.started")
        wait_until(lambda: partners.gets_in("bob"), 30, "bob to get in")
        assert not partners.gets_in("alice")


def test_a_configuration_from_a_pipe_is_read_once_and_its_users_go_on_changing(tmp_path: Path) -> None:
    partners = Partners(tmp_path, 1)
    partners.mount("alice")
    partners.configure()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["sh", "-c", f"cat {partners.config} > {pipe}"]):
        with running("serve", "--config", str(pipe), directory=tmp_path) as server:
            partners.attach(server)
            server.wait_event("server.started")
            partners.mount("alice", "bob")
            assert partners.until_reloaded()["added_users"] == ["bob"]
            assert partners.gets_in("bob")


def test_a_directory_without_users_is_one_where_nobody_can_log_in_yet(tmp_path: Path) -> None:
    partners = Partners(tmp_path, 1)
    partners.mount()
    with partners.serving():
        assert partners.server.events("login.impossible")
        partners.mount("alice")
        partners.until_reloaded()
        assert partners.gets_in("alice")
        shutil.rmtree(partners.users.directory)
        assert str(partners.users.directory) in partners.until("config.reload_failed")["problem"]
        assert partners.gets_in("alice")


def test_host_keys_that_change_are_told_to_need_a_restart(tmp_path: Path) -> None:
    partners = Partners(tmp_path, 1)
    write_key_pair(tmp_path / "host_key")
    partners.options["ssh"] = {"host_keys": [str(tmp_path / "host_key")]}
    partners.mount("alice")
    with partners.serving():
        os.utime(tmp_path / "host_key")
        partners.mount("alice", "bob")
        partners.until_reloaded()
        assert not partners.server.events("host_key.changed")
        write_key_pair(tmp_path / "host_key")
        assert "restart" in partners.until("host_key.changed")["advice"]


def test_check_names_what_is_wrong_with_the_files_of_users(tmp_path: Path) -> None:
    partners = Partners(tmp_path, 1)
    partners.mount("alice", bob=partners.table("alice"))
    partners.configure()
    done = s3sftp("check", "--config", str(partners.config))
    assert done.returncode == 2
    users = partners.users.directory
    assert f"users.alice ({users}/bob.toml, line 1)" in done.stderr
    assert f"in {users}/alice.toml" in done.stderr
    partners.mount("alice")
    done = s3sftp("check", "--config", str(partners.config))
    assert done.returncode == 0, done.stdout + done.stderr


def test_flags_of_one_user_are_read_again_too(tmp_path: Path) -> None:
    with serving_from_memory(tmp_path, S3SFTP_SERVER__RELOAD_INTERVAL="200 ms") as server:
        write_key_pair(tmp_path / "other")
        (tmp_path / "other.pub").rename(tmp_path / "key.pub")
        server.wait_event("config.reloaded")
        assert batch(sftp_command(server.port, tmp_path / "other"), "pwd\n").returncode == 0
        assert batch(sftp_command(server.port, tmp_path / "key"), "pwd\n").returncode != 0
