"""The small commands: check, hash-password, totp-secret, host-key, and what every command has."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import argon2
import asyncssh
import pyotp
import pytest

from s3sftp import __version__
from s3sftp.auth.totp import checked_secret, step_of
from testbed.s3_store import Store
from tests.cli.command_process import s3sftp, toml


def test_the_version_is_told() -> None:
    done = s3sftp("--version")
    assert (done.returncode, done.stdout.strip()) == (0, f"s3sftp, version {__version__}")


@pytest.mark.parametrize(
    "command",
    [
        "serve",
        "demo",
        "check",
        "hash-password",
        "totp-secret",
        "host-key",
        "partner-sheet",
        "users",
        "import",
    ],
)
def test_every_command_explains_itself(command: str) -> None:
    done = s3sftp(command, "--help")
    assert done.returncode == 0
    assert "Usage:" in done.stdout


def test_a_password_becomes_a_hash_that_fits_it_and_no_other() -> None:
    done = s3sftp("hash-password", "--stdin", stdin="correct horse\n")
    assert done.returncode == 0
    text = done.stdout.strip()
    assert argon2.PasswordHasher().verify(text, "correct horse")
    with pytest.raises(argon2.exceptions.VerifyMismatchError):
        argon2.PasswordHasher().verify(text, "correct horse\n")


def test_an_empty_password_is_refused() -> None:
    assert s3sftp("hash-password", "--stdin", stdin="\n").returncode == 1


def test_a_totp_secret_and_its_uri_are_understood_by_pyotp_and_the_server() -> None:
    done = s3sftp("totp-secret", "acme@eu+1", "--issuer", "Example & Co")
    assert done.returncode == 0, done.stderr
    table, uri = done.stdout.splitlines()
    secret = tomllib.loads(table)["totp_secret"]
    app = pyotp.parse_uri(uri)
    assert isinstance(app, pyotp.TOTP)
    assert (app.name, app.issuer, app.secret) == ("acme@eu+1", "Example & Co", secret)
    assert checked_secret(secret) == secret
    assert step_of(secret, app.at(1_800_000_000), 1_800_000_000) == 60_000_000


@pytest.mark.parametrize("words", [["../x"], ["acme", "--issuer", "a:b"], []])
def test_a_totp_secret_is_for_a_possible_user_and_issuer(words: list[str]) -> None:
    done = s3sftp("totp-secret", *words)
    assert done.returncode == 2
    assert not done.stdout


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_a_host_key_is_made_and_shown(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "key"
    made = s3sftp("host-key", "generate", "--type", kind, str(file))
    assert made.returncode == 0, made.stderr
    key = asyncssh.read_private_key(file)
    shown = s3sftp("host-key", "show", str(file), "--host", "files.example", "--port", "22")
    assert key.get_fingerprint() in made.stdout
    assert key.get_fingerprint() in shown.stdout
    known_hosts = shown.stdout.splitlines()[-1].split(maxsplit=1)[1]
    assert asyncssh.import_known_hosts(known_hosts).match("files.example", "", None)[0][0].public_data == (
        key.public_data
    )
    again = s3sftp("host-key", "generate", str(file))
    assert (again.returncode, "exists already" in again.stderr) == (2, True)


def test_check_finds_a_good_bucket_good(store: Store, bucket: str, tmp_path: Path) -> None:
    file = tmp_path / "s3sftp.toml"
    file.write_text(
        toml(
            {
                "s3": {
                    "bucket": bucket,
                    "endpoint_url": store.endpoint_url,
                    "addressing": "path",
                    "access_key_id": store.access_key,
                    "secret_access_key": store.secret_key,
                }
            }
        )
    )
    done = s3sftp("check", "--config", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["ok", "write"] in [row[:2] for row in rows]
    assert "failed" not in {row[0] for row in rows}
    assert not store.blocking_client.list_objects_v2(Bucket=bucket).get("Contents")


def test_check_says_what_is_wrong_with_a_bad_one_and_exits_with_1(store: Store, tmp_path: Path) -> None:
    done = s3sftp(
        *("check", "s3://no-such-bucket", "--endpoint-url", store.endpoint_url),
        AWS_ACCESS_KEY_ID=store.access_key,
        AWS_SECRET_ACCESS_KEY=store.secret_key,
        S3SFTP_S3__ADDRESSING="path",
    )
    assert done.returncode == 1
    assert done.stdout.startswith("failed")
    assert "→" in done.stdout


def test_check_offline_looks_at_users_and_keys_and_asks_no_storage(tmp_path: Path) -> None:
    file = tmp_path / "s3sftp.toml"
    file.write_text(toml({"s3": {"bucket": "nowhere", "endpoint_url": "http://127.0.0.1:9"}}))
    done = s3sftp(
        "check", "--offline", "--config", str(file), S3SFTP_USERS__ALICE__AUTHORIZED_KEYS="ssh-ed25519 A"
    )
    assert done.returncode == 1
    assert "ALICE cannot log in" in done.stdout
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    done = s3sftp("check", "--offline", "--config", str(file), S3SFTP_USERS__ALICE__AUTHORIZED_KEYS=key)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split(maxsplit=2)[:2] == ["ok", "configuration"]
    assert "1 user; the storage was not asked" in done.stdout
    done = s3sftp(
        "check", "--offline", "--config", str(file), S3SFTP_SSH__HOST_KEYS=str(tmp_path / "missing")
    )
    assert done.returncode == 2
    assert f"cannot read host key {tmp_path / 'missing'}" in done.stderr


def test_check_tells_a_wrong_configuration_first() -> None:
    done = s3sftp("check", S3SFTP_LOG__FORMAT="xml")
    assert done.returncode == 2
    assert "log.format" in done.stderr


def test_the_command_needs_no_terminal_and_no_home(tmp_path: Path) -> None:
    done = s3sftp("serve", HOME="/nonexistent")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert json.dumps(done.stdout) == '""'
