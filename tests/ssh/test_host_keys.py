"""Host keys: made once, kept, never replaced silently."""

from __future__ import annotations

from pathlib import Path

import asyncssh
import pytest
import structlog

from s3sftp.errors import ConfigurationError
from s3sftp.ssh.host_keys import FILE_NAME, generate, load, load_host_keys


def test_the_first_start_makes_a_key_that_only_the_owner_can_read_and_later_ones_keep_it(
    tmp_path: Path,
) -> None:
    state = tmp_path / "state" / "s3sftp"
    (first,) = load_host_keys((), state)
    (second,) = load_host_keys((), state)
    assert first.public_data == second.public_data
    assert first.get_algorithm() == "ssh-ed25519"
    assert (state / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert [file.name for file in state.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("content", [b"", b"not a key", b"-----BEGIN OPENSSH PRIVATE KEY-----\n"])
def test_a_damaged_key_ends_the_start_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / FILE_NAME
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=str(file)):
        load_host_keys((), tmp_path)
    assert file.read_bytes() == content


def test_a_key_behind_a_dangling_link_is_not_made_anew(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="cannot read"):
        load_host_keys((), tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_state_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot write host key"):
        load_host_keys((), tmp_path / "file" / "state")


def test_given_keys_are_taken_and_none_is_made(tmp_path: Path) -> None:
    keys = [generate(tmp_path / name, kind) for name, kind in (("a", "ssh-ed25519"), ("b", "ssh-rsa"))]
    loaded = load_host_keys((tmp_path / "a", tmp_path / "b"), tmp_path / "state")
    assert [key.public_data for key in loaded] == [key.public_data for key in keys]
    assert not (tmp_path / "state").exists()


def test_two_keys_of_one_type_are_refused(tmp_path: Path) -> None:
    generate(tmp_path / "a")
    generate(tmp_path / "b")
    with pytest.raises(ConfigurationError, match="more than one key of type ssh-ed25519"):
        load_host_keys((tmp_path / "a", tmp_path / "b"), tmp_path)


def test_generating_never_replaces_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    generate(file)
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match="exists already"):
        generate(file)
    assert file.read_bytes() == before


def test_a_key_that_others_can_read_is_taken_with_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "key"
    generate(file)
    file.chmod(0o644)
    with structlog.testing.capture_logs() as events:
        load(file)
    assert [(event["log_level"], event["file"]) for event in events] == [("warning", str(file))]


def test_a_key_with_a_passphrase_is_named(tmp_path: Path) -> None:
    file = tmp_path / "key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(file), passphrase="x")
    with pytest.raises(ConfigurationError, match="passphrase"):
        load(file)
