"""What a login leaves out, because it would be done twice or for nobody, changes nothing of the login."""

from __future__ import annotations

import logging
from typing import Any

import asyncssh
import pytest

from s3sftp.ssh import openssh_tolerance
from tests.ssh.listener_harness import ALICES_KEY, ListenerHarness, listener_harness

_SET_AGAIN = (
    *("_host_based_auth", "_public_key_auth", "_kbdint_auth", "_password_auth", "_authorized_client_keys"),
    *("_allow_pty", "_x11_forwarding", "_agent_forwarding", "_rekey_bytes", "_rekey_seconds"),
    *("_keepalive_count_max", "_keepalive_interval"),
)
"""What asyncssh sets when it reads its options again for a user."""


def _of_connection(harness: ListenerHarness) -> Any:
    (connection,) = harness.listener._shared.connections
    return connection._conn


async def test_the_options_of_a_connection_are_those_that_asyncssh_would_read_again_for_its_user() -> None:
    async with listener_harness() as harness, await harness.connect():
        conn = _of_connection(harness)
        before = {name: getattr(conn, name) or None for name in _SET_AGAIN}
        await asyncssh.SSHServerConnection.reload_config(conn)
        assert {name: getattr(conn, name) or None for name in _SET_AGAIN} == before


async def test_a_login_does_not_read_the_options_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def again(_conn: Any) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(asyncssh.SSHServerConnection, "reload_config", again)
    async with listener_harness() as harness:
        async with await harness.connect():
            pass
        key = {"password": None, "client_keys": [ALICES_KEY], "preferred_auth": "publickey"}
        async with await harness.connect(**key):
            pass
        assert len(harness.logged("login.accepted")) == 2


async def test_asyncssh_still_logs_what_is_read_at_its_level(caplog: pytest.LogCaptureFixture) -> None:
    async with listener_harness() as harness:
        async with await harness.connect():
            pass
        assert "Sending server host keys" not in "".join(caplog.messages)
        with caplog.at_level("INFO", "asyncssh"):
            async with await harness.connect():
                pass
    records = [record for record in caplog.records if record.name.startswith("asyncssh")]
    assert {record.levelno for record in records} == {logging.INFO}
    assert any("Sending server host keys" in record.getMessage() for record in records)


async def test_asyncssh_still_logs_each_packet_at_its_highest_debug_level(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncssh.logging.SSHLogger, "_debug_level", 3)
    async with listener_harness() as harness:
        async with await harness.connect():
            conn = _of_connection(harness)
            with caplog.at_level("DEBUG", "asyncssh"):
                conn.log_received_packet(2, 7, b"\x02\x00\x00\x00\x00")
    assert any("Received MSG_IGNORE (2), 5 bytes" in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("guesses", "ours", "wrong"),
    [
        (True, (b"curve25519-sha256", b"ssh-ed25519"), False),
        (True, (b"ecdh-sha2-nistp256", b"ssh-ed25519"), True),
        (True, (b"curve25519-sha256", b"ssh-rsa"), True),
        (False, (b"ecdh-sha2-nistp256", b"ssh-rsa"), False),
    ],
)
def test_a_guess_is_wrong_only_if_one_follows_and_the_first_of_a_list_differ(
    guesses: bool, ours: tuple[bytes, bytes], wrong: bool
) -> None:
    theirs = _kexinit(b"curve25519-sha256", b"ssh-ed25519", guesses=guesses)
    assert openssh_tolerance.guessed_wrong(theirs, _kexinit(*ours, guesses=False)) is wrong


def _kexinit(key_exchange: bytes, host_key: bytes, *, guesses: bool) -> bytes:
    lists = (key_exchange + b",other", host_key, *(b"name" for _ in range(8)))
    named = b"".join(len(each).to_bytes(4, "big") + each for each in lists)
    return bytes([20]) + bytes(16) + named + bytes([guesses]) + bytes(4)
