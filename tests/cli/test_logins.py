"""What the command does with host keys, users' keys and algorithms, as a process."""

from __future__ import annotations

import subprocess
from pathlib import Path

import asyncssh

from tests.cli.command_process import (
    batch,
    running,
    s3sftp,
    serving_from_memory,
    sftp_command,
    write_key_pair,
)
from tests.support.commands import installed

TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")
DSA = asyncssh.generate_private_key("ssh-dss").export_public_key().decode().strip()


def test_the_first_start_makes_three_host_keys_that_clients_see_and_the_command_shows(tmp_path: Path) -> None:
    with serving_from_memory(tmp_path) as server:
        port = server.port
        seen = subprocess.run(
            [installed("ssh-keyscan"), "-T", "20", "-p", str(port), "127.0.0.1"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        shown = s3sftp(
            *("host-key", "show", "--state-dir", str(tmp_path / "state")),
            *("--host", "127.0.0.1", "--port", str(port)),
        )
        assert shown.returncode == 0, shown.stderr
        lines = [line.split(maxsplit=1)[1] for line in shown.stdout.splitlines() if "known_hosts" in line]
        assert [line.split()[1] for line in lines] == list(TYPES)
        assert set(lines) == {line for line in seen.splitlines() if line and not line.startswith("#")}
        known = tmp_path / "known_hosts"
        known.write_text("\n".join(lines) + "\n")
        for algorithm in ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-256"):
            command = sftp_command(port, tmp_path / "key", known_hosts=str(known))
            command[1:1] = ["-o", f"HostKeyAlgorithms={algorithm}"]
            done = batch(command, "ls\n")
            assert done.returncode == 0, done.stderr


def test_workers_tell_of_weak_algorithms_and_bad_keys_once_and_check_does_too(tmp_path: Path) -> None:
    write_key_pair(tmp_path / "key")
    keys = tmp_path / "keys"
    keys.write_text(f"{DSA}\n{(tmp_path / 'key.pub').read_text()}\n")
    config = tmp_path / "s3sftp.toml"
    config.write_text(
        f"backend = 'local'\n[local]\nroot = '{tmp_path}/files'\n[listen]\nhost = '127.0.0.1'\nport = 0\n"
        f"[server]\nworkers = 2\nstate_dir = '{tmp_path}/state'\n"
        f"[ssh]\nalgorithms = 'compatible'\nextra_algorithms = ['ssh-rsa']\n"
        f"[users.alice]\nauthorized_keys_file = '{keys}'\n"
    )
    (tmp_path / "files").mkdir()
    with running("serve", "--config", str(config), directory=tmp_path) as server:
        server.wait_event("server.started")
        (bad,) = server.events("key.unusable")
        assert (bad["user"], bad["source"], bad["line"]) == ("alice", str(keys), 1)
        weak = [event["algorithm"] for event in server.events("algorithm.weak")]
        assert len(weak) == len(set(weak)) == 7
        command = sftp_command(server.port, tmp_path / "key")
        command[1:1] = [
            *("-o", "KexAlgorithms=diffie-hellman-group14-sha1", "-o", "HostKeyAlgorithms=ssh-rsa"),
            *("-o", "Ciphers=aes256-cbc", "-o", "MACs=hmac-sha1"),
        ]
        done = batch(command, f"put {keys} keys\nget keys {tmp_path}/back\n")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "back").read_text() == keys.read_text()
    checked = s3sftp("check", "--config", str(config))
    assert checked.returncode == 0, checked.stdout
    rows = checked.stdout.splitlines()
    assert len([row for row in rows if row.startswith("warning algorithm")]) == 7
    (row,) = [row for row in rows if row.startswith("warning key")]
    assert f"alice: {keys}, line 1: a DSA key" in row


def test_a_user_with_nothing_but_a_bad_key_is_told_and_the_server_starts(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(DSA + "\n")
    flags = ("--backend", "memory", "--host", "127.0.0.1", "--port", "0", "--state-dir", str(tmp_path / "s"))
    user = ("--user", "alice", "--authorized-keys", str(keys))
    with running("serve", *flags, *user, directory=tmp_path) as server:
        server.wait_event("server.started")
        assert server.events("user.locked_out")[0]["user"] == "alice"
        assert server.events("login.impossible")[0]["level"] == "error"
    checked = s3sftp("check", "--backend", "memory", *user)
    assert checked.returncode == 1
    assert "alice cannot log in" in checked.stdout


def test_the_second_start_makes_no_host_keys(tmp_path: Path) -> None:
    with serving_from_memory(tmp_path) as server:
        first = [event["type"] for event in server.events("host_key.generated")]
    with serving_from_memory(tmp_path) as server:
        assert not server.events("host_key.generated")
    assert first == list(TYPES)
