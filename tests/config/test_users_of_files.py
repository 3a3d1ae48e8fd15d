"""Users in files apart from the configuration, one file or a directory of them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import asyncssh
import pytest

from s3sftp.app.options import load_options
from s3sftp.errors import ConfigurationError

KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


def user(name: str, more: str = "") -> str:
    return f"[users.{name}]\nauthorized_keys = ['{KEY}']\n{more}"


@pytest.fixture
def users(tmp_path: Path) -> Path:
    (tmp_path / "users").mkdir()
    return tmp_path / "users"


def load(users: Path, more: str = "", environ: dict[str, str] | None = None) -> set[str]:
    file = users.parent / "s3sftp.toml"
    file.write_text(f"backend = 'memory'\n[auth]\nusers_dir = '{users}'\n{more}")
    return set(load_options(file, environ or {}).users)


def problems(users: Path, more: str = "", environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigurationError) as wrong:
        load(users, more, environ)
    return "\n".join(wrong.value.problems)


def test_each_file_may_have_some_and_others_stand_elsewhere(users: Path) -> None:
    (users / "a.toml").write_text(user("alice") + user("bob"))
    (users / "b.toml").write_text(user("carol"))
    (users / "empty.toml").touch()
    (users.parent / "more.toml").write_text(user("dave"))
    more = f"users_file = '{users.parent}/more.toml'\n" + user("eve")
    frank = {"S3SFTP_USERS__frank__AUTHORIZED_KEYS": KEY}
    assert load(users, more, frank) == {"alice", "bob", "carol", "dave", "eve", "frank"}


def test_a_user_in_two_places_is_told_with_both(users: Path) -> None:
    for name in ("a", "b", "c"):
        (users / f"{name}.toml").write_text(user("alice") if name != "c" else user("bob"))
    told = problems(users, user("bob"))
    elsewhere = "this user is configured elsewhere too, in"
    assert f"users.alice ({users}/b.toml, line 1): {elsewhere} {users}/a.toml, line 1" in told
    assert f"users.bob ({users}/c.toml, line 1): {elsewhere} {users.parent}/s3sftp.toml, line 4" in told
    assert "S3SFTP_USERS__alice__PREFIX" in problems(users, "", {"S3SFTP_USERS__alice__PREFIX": "x/"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[users.alice\n", "is not valid TOML"),
        ("[s3]\nbucket = 'x'\n", "s3.bucket .*only \\[users.NAME\\] and \\[groups.NAME\\] tables belong here"),
        ("users = 5\n", "users .*only \\[users.NAME\\] and \\[groups.NAME\\] tables belong here"),
        ("users.alice = 5\n", "users.alice = 5 .*should be a table of options"),
        (user("alice", "prefix = 7\n"), "users.alice.prefix = 7 .*a.toml"),
        (user("alice", "prefx = 'x'\n"), "users.alice.prefx .*did you mean 'prefix'"),
        (user("'al ice'"), "users.'al ice' .*a.toml, line 1.: the name should be"),
        ("[users.alice]\n", "users.alice cannot log in"),
        (
            user("alice", "authorized_keys_file = '/no'\n"),
            "users.alice.authorized_keys_file = '/no'",
        ),
        ("x = " + "[" * 3000 + "]" * 3000, "nested too deeply"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_name(users: Path, text: str, words: str) -> None:
    (users / "a.toml").write_text(text)
    (users / "b.toml").write_text("[users.bob\n")
    told = problems(users)
    assert f"{users}/b.toml is not valid TOML" in told
    assert any(re.search(words, line) for line in told.splitlines()), told


def test_a_file_that_is_none_is_told_and_nobody_waits_for_it(users: Path) -> None:
    os.mkfifo(users / "a.toml")
    (users / "b.toml").mkdir()
    (users / "c.toml").symlink_to("..data/c.toml")
    (users / "d.toml").write_bytes(b"\xff\xfe")
    os.mkfifo(users / "keys")
    (users / "e.toml").write_text(user("eve", f"authorized_keys_file = '{users}/keys'\n"))
    told = problems(users)
    for name in "abcd":
        assert f"{users}/{name}.toml" in told
    assert "users.eve.authorized_keys_file" in told
    assert "is a pipe" in told


def test_a_directory_that_is_missing_or_no_name_is_wrong_and_an_empty_one_is_not(users: Path) -> None:
    assert load(users) == set()
    (users / "a.toml").write_text(user("alice"))
    file = users.parent / "s3sftp.toml"
    file.write_text(f"backend = 'memory'\n[auth]\nusers_dir = '{users}/no'\n")
    with pytest.raises(ConfigurationError, match=f"cannot read {users}/no: No such file"):
        load_options(file, {})
    for text in ("", "."):
        with pytest.raises(ConfigurationError, match=r"auth\.users_dir"):
            load_options(None, {"S3SFTP_BACKEND": "memory", "S3SFTP_AUTH__USERS_DIR": text})


def test_a_credential_in_a_file_is_never_told(users: Path) -> None:
    (users / "a.toml").write_text("[users.alice]\npassword_hash = 'plaintext'\n")
    (users / "b.toml").write_text("[users.bob]\npassword_hash = 'plaintext\n")
    told = problems(users)
    assert "plaintext" not in told
    assert "users.alice.password_hash = (hidden)" in told


def test_a_file_that_is_too_large_is_named_without_being_read_into_memory(users: Path) -> None:
    with (users / "a.toml").open("wb") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    assert f"{users}/a.toml is larger than 64 MiB" in problems(users)
