"""What becomes of an export that SFTPGo itself has made, and what its users may do afterwards.

`sftpgo_export.json` is what `/api/v2/dumpdata` of SFTPGo 2.6.4 has printed for users who were created by its
API for this purpose. `sftpgo_allows.json` has the operations of `operations.py` that SFTPGo 2.6.4 allowed to
users with these permissions and patterns.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_process import Running, batch, running, s3sftp, sftp_command, write_key_pair
from tests.migration.operations import OPERATIONS, allowed

HERE = Path(__file__).parent
EXPORT = HERE / "sftpgo_export.json"
ALLOWS: dict[str, Any] = json.loads((HERE / "sftpgo_allows.json").read_text())


def imported(*arguments: str, file: Path = EXPORT) -> subprocess.CompletedProcess[str]:
    return s3sftp("import", "sftpgo", str(file), "--bucket", "partners", *arguments)


@contextmanager
def serving(users: Path, directory: Path) -> Iterator[Running]:
    """A server of the files in `directory/files` for these users."""
    (directory / "files").mkdir()
    config = directory / "s3sftp.toml"
    config.write_text(
        f"backend = 'local'\n[local]\nroot = '{directory}/files'\n[listen]\nhost = '127.0.0.1'\nport = 0\n"
        f"[server]\nworkers = 1\nstate_dir = '{directory}/state'\n[auth]\nusers_file = '{users}'\n"
    )
    with running("serve", "--config", str(config), directory=directory) as server:
        server.wait_event("server.started")
        yield server


def test_every_user_of_a_real_export_is_imported_or_named_with_the_reason() -> None:
    done = imported("--json")
    assert done.returncode == 1
    report = json.loads(done.stderr)
    assert {user["name"]: user["outcome"] for user in report["users"]} == {
        "acme": "imported",
        "globex": "imported",
        "hooli": "disabled",
        "initech": "imported",
        "massive~dynamic": "not-written",
        "pied-piper": "disabled",
        "soylent": "imported",
        "stark": "imported",
        "umbrella": "imported",
        "vehement": "imported",
        "wayne": "disabled",
    }
    reasons = {
        user["name"]: [
            each["field"] for each in user["findings"] if each["kind"] in ("disabled", "not-written")
        ]
        for user in report["users"]
    }
    assert reasons["initech"] == []
    assert reasons["hooli"] == ["filesystem.s3config"]
    assert reasons["wayne"] == ["filters.denied_protocols"]
    assert "filesystem" in reasons["pied-piper"]


@pytest.mark.parametrize("form", ["toml", "yaml"])
def test_users_check_accepts_the_files_of_a_real_export(form: str, tmp_path: Path) -> None:
    assert imported("--format", form, "--output", str(tmp_path / f"all.{form}")).returncode == 1
    assert imported("--format", form, "--directory", str(tmp_path / "users")).returncode == 1
    for where in (tmp_path / f"all.{form}", tmp_path / "users"):
        checked = s3sftp("users", "check", str(where))
        assert checked.returncode == 0, checked.stderr
        assert "10 users and 0 groups can be used" in checked.stdout
    assert sorted(file.stem for file in (tmp_path / "users").iterdir())[0] == "acme"
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "users").iterdir()} == {0o600}


def test_openssh_logs_in_by_an_imported_key_and_by_an_imported_hash(tmp_path: Path) -> None:
    write_key_pair(tmp_path / "key")
    export = json.loads(EXPORT.read_text())
    (acme,) = [user for user in export["users"] if user["username"] == "acme"]
    acme["public_keys"] = [(tmp_path / "key.pub").read_text()]
    (tmp_path / "export.json").write_text(json.dumps(export))
    imported("--output", str(tmp_path / "users.toml"), file=tmp_path / "export.json")
    (tmp_path / "note").write_text("hello")
    with serving(tmp_path / "users.toml", tmp_path) as server:
        command = sftp_command(server.port, tmp_path / "key", user="acme")
        done = batch(command, f"put {tmp_path}/note\nls outbox\n")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "files/acme/note").read_text() == "hello"
        assert batch(command, f"put {tmp_path}/note outbox/note\n").returncode != 0
        assert by_password(server.port, "globex", "typed-for-globex", tmp_path) == 0
        assert by_password(server.port, "soylent", "typed-for-soylent", tmp_path) == 0
        assert by_password(server.port, "globex", "typed-for-soylent", tmp_path) != 0
        assert by_password(server.port, "initech", "typed-for-initech", tmp_path) == 0
        # disabled for the protocols, although the hash fits
        assert by_password(server.port, "wayne", "typed-for-wayne", tmp_path) != 0


def by_password(port: int, user: str, password: str, directory: Path) -> int:
    """The exit status of OpenSSH's sftp."""
    ask = directory / "ask"
    ask.write_text(f"#!/bin/sh\necho '{password}'\n")
    ask.chmod(0o700)
    command = [
        *("sftp", "-F", "none", "-P", str(port), "-o", "IdentityAgent=none", "-o", "IdentityFile=none"),
        *("-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no"),
        *("-o", "PreferredAuthentications=password", "-o", "NumberOfPasswordPrompts=1"),
        f"{user}@127.0.0.1",
    ]
    environment = os.environ | {"SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"}
    done = subprocess.run(
        command, input="ls\n", capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    return done.returncode


def test_no_user_may_do_more_than_sftpgo_itself_allowed(tmp_path: Path) -> None:
    write_key_pair(tmp_path / "key")
    key = (tmp_path / "key.pub").read_text()
    users = [
        {
            "username": name,
            "status": 1,
            "public_keys": [key],
            "permissions": recorded["permissions"],
            "filters": {"file_patterns": recorded["file_patterns"]},
            "filesystem": {"provider": 1, "s3config": {"bucket": "partners", "key_prefix": f"{name}/"}},
        }
        for name, recorded in ALLOWS.items()
    ]
    (tmp_path / "export.json").write_text(json.dumps({"users": users}))
    done = imported("--output", str(tmp_path / "users.toml"), file=tmp_path / "export.json")
    assert done.returncode == 0, done.stderr
    with serving(tmp_path / "users.toml", tmp_path) as server:
        for name, recorded in ALLOWS.items():
            here = allowed(server.port, name, tmp_path / "key", tmp_path / "files" / name)
            assert here - set(recorded["allowed"]) == set(), name
            assert set(recorded["allowed"]) <= set(OPERATIONS)
            if name in ("in-and-out", "nested", "deleter", "no-overwrite", "closed"):
                assert here == set(recorded["allowed"]), f"{name} may do less, and nothing says so"
