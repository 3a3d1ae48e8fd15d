"""Host keys: made once, kept, never replaced silently."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import asyncssh
import pytest
from asyncssh.packet import SSHPacket

from s3sftp.errors import ConfigurationError
from s3sftp.ssh.host_keys import FILES, generate, load, load_host_keys
from tests.support.logs import capture_events

pytestmark = pytest.mark.slow


def test_the_first_start_makes_keys_that_only_the_owner_can_read_and_later_ones_keep_them(
    tmp_path: Path,
) -> None:
    state = tmp_path / "state" / "s3sftp"
    first, second = load_host_keys((), state), load_host_keys((), state)
    assert [key.public_data for key in first] == [key.public_data for key in second]
    assert [key.get_algorithm() for key in first] == ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]
    assert _modulus_bits(first[2]) == 3072
    assert {file.name for file in state.iterdir()} == set(FILES)
    assert {file.stat().st_mode & 0o777 for file in state.iterdir()} == {0o600}


def test_a_key_is_on_the_disk_whole_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that stops in between leaves the whole key, or none."""
    file = tmp_path / "ssh_host_ed25519_key"
    at_fsync: list[tuple[int, bool]] = []

    def fsync(descriptor: int) -> None:
        at_fsync.append((os.fstat(descriptor).st_size, file.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    generate(file)
    assert at_fsync == [(file.stat().st_size, False)]


def _modulus_bits(key: asyncssh.SSHKey) -> int:
    packet = SSHPacket(key.public_data)
    assert (packet.get_string(), packet.get_mpint()) == (b"ssh-rsa", 65537)
    return packet.get_mpint().bit_length()


def test_a_state_directory_with_one_key_gets_the_others_and_keeps_the_one(tmp_path: Path) -> None:
    old = generate(tmp_path / "ssh_host_ed25519_key")
    with capture_events() as events:
        keys = load_host_keys((), tmp_path)
    assert keys[0].public_data == old.public_data
    assert len(keys) == 3
    told = [event for event in events if event["event"] == "host_key.generated"]
    assert [event["type"] for event in told] == ["ecdsa-sha2-nistp256", "ssh-rsa"]
    assert all("ssh.host_keys" in event["advice"] for event in told)


def test_starts_at_once_on_one_directory_have_the_same_keys(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys; from s3sftp.ssh.host_keys import load_host_keys;"
        "keys = load_host_keys((), pathlib.Path(sys.argv[1]));"
        "print(*(key.get_fingerprint() for key in keys), file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "state")]
    starts = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    seen = {start.communicate(timeout=120)[1].splitlines()[-1] for start in starts}
    assert [start.returncode for start in starts] == [0] * 4
    assert len(seen) == 1
    assert len(next(iter(seen)).split()) == 3


@pytest.mark.parametrize("content", [b"", b"not a key", b"-----BEGIN OPENSSH PRIVATE KEY-----\n"])
def test_a_damaged_key_ends_the_start_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "ssh_host_ed25519_key"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=str(file)):
        load_host_keys((), tmp_path)
    assert file.read_bytes() == content


def test_a_key_behind_a_dangling_link_is_not_made_anew(tmp_path: Path) -> None:
    (tmp_path / "ssh_host_ed25519_key").symlink_to(tmp_path / "elsewhere")
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


def test_the_same_key_twice_is_refused(tmp_path: Path) -> None:
    generate(tmp_path / "a")
    (tmp_path / "b").write_bytes((tmp_path / "a").read_bytes())
    with pytest.raises(ConfigurationError, match="more than once"):
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
    with capture_events() as events:
        load(file)
    assert [(event["log_level"], event["file"]) for event in events] == [("warning", str(file))]


def test_a_key_of_another_owner_may_be_read_by_the_group_as_those_from_a_secret_of_kubernetes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    generate(file)
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    for mode, warnings in ((0o440, 0), (0o444, 1)):
        file.chmod(mode)
        with capture_events() as events:
            load(file)
        assert len(events) == warnings


def test_a_key_with_a_passphrase_is_named(tmp_path: Path) -> None:
    file = tmp_path / "key"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(file), passphrase="x")
    with pytest.raises(ConfigurationError, match="passphrase"):
        load(file)
