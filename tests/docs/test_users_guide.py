"""What docs/users.md shows is what happens: its files are read, and its commands print what stands there."""

from __future__ import annotations

import re
from pathlib import Path

import asyncssh
import pytest

from tests.cli.command_process import s3sftp
from tests.docs.guides import blocks

KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().split()[1]
PAGE = "users.md"


def block(language: str, beginning: str) -> str:
    """The block that begins so, with a key in place of the placeholder."""
    (found,) = [each for each in blocks(PAGE, language) if each.startswith(beginning)]
    return found.replace("AAAA…", KEY)


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """The directory of the guide to pull requests, without the comments that name the files."""
    directory = tmp_path / "users"
    directory.mkdir()
    (directory / "groups.yaml").write_text(block("yaml", "# /etc/s3sftp/users/groups.yaml").split("\n", 1)[1])
    (directory / "acme.yaml").write_text(block("yaml", "# yaml-language-server"))
    return directory


def test_the_files_of_the_guide_are_right_in_both_languages(users: Path) -> None:
    (users / "eve.toml").write_text(
        f"[users.eve]\ngroup = 'auditors'\nauthorized_keys = ['ssh-ed25519 {KEY}']\n"
    )
    done = s3sftp("users", "check", "--strict", str(users))
    assert (done.returncode, done.stdout) == (0, "2 users and 2 groups can be used\n"), done.stderr
    (users / "acme.yaml").unlink()
    for language in ("yaml", "toml"):
        shown = [each for each in blocks(PAGE, language) if "acme" in each]
        assert len(shown) >= 2
        for number, text in enumerate(shown):
            file = users / f"{number}.{language}"
            file.write_text(text.replace("AAAA…", KEY))
            done = s3sftp("users", "check", str(users))
            assert (done.returncode, "warning key" in done.stdout) == (0, False), (text, done)
            file.unlink()


def test_show_prints_what_the_guide_shows(users: Path) -> None:
    (shown,) = [each for each in blocks(PAGE, "console") if each.startswith("$ s3sftp users show")]
    command, *lines = shown.splitlines()
    assert command == "$ s3sftp users show acme users/"
    printed = s3sftp("users", "show", "acme", str(users)).stdout.replace(str(users), "users")
    assert re.sub(r"SHA256:\S+", "SHA256:…", printed).splitlines() == lines


def test_check_prints_what_the_guide_shows(users: Path) -> None:
    (shown,) = [each for each in blocks(PAGE, "") if each.startswith("s3sftp: the configuration has")]
    text = (users / "acme.yaml").read_text()
    (users / "acme.yaml").write_text(text.replace("group: partners", "group: partnrs"))
    (users / "globex.yaml").write_text(
        text.replace("acme:", "globex:").replace("    group: partners", "    group: partners\n    prefx: x")
    )
    done = s3sftp("users", "check", str(users))
    assert sorted(done.stderr.replace(str(users), "users").splitlines()) == sorted(shown.splitlines())
