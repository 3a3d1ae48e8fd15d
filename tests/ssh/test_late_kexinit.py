"""The server's KEXINIT comes after the client's, and offers AEAD ciphers alone to who knows AES-GCM."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from asyncssh.connection import SSHClientConnection
from asyncssh.constants import MSG_KEXINIT
from asyncssh.packet import Boolean, NameList, UInt32

from s3sftp.ssh import late_kexinit
from s3sftp.ssh.late_kexinit import offered_ciphers
from tests.ssh.listener_harness import kexinit_lists, listener_harness, read_kexinit

GCM = "aes128-gcm@openssh.com"
CHACHA = "chacha20-poly1305@openssh.com"
OURS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr")


def kexinit(to_server: Sequence[str], to_client: Sequence[str] | None = None) -> bytes:
    """A client's KEXINIT with these ciphers."""
    ciphers = [to_server, to_server if to_client is None else to_client]
    lists = [
        ["curve25519-sha256"],
        ["ssh-ed25519"],
        *ciphers,
        *[["hmac-sha2-256"]] * 2,
        *[["none"]] * 2,
        [],
        [],
    ]
    names = b"".join(NameList([name.encode() for name in each]) for each in lists)
    return bytes([MSG_KEXINIT]) + bytes(16) + names + Boolean(False) + UInt32(0)


@pytest.mark.parametrize(
    ("ours", "to_server", "to_client", "offered"),
    [
        (OURS, ["aes128-ctr", GCM], None, OURS[:2]),
        (OURS, ["aes128-ctr"], None, OURS),
        (OURS, [GCM], ["aes128-ctr"], OURS),
        (OURS, ["aes128-ctr"], [GCM], OURS),
        (OURS[2:], ["aes128-ctr", GCM], None, OURS[2:]),
        ((GCM, CHACHA, "aes128-ctr"), [GCM], None, (GCM, CHACHA)),
        ((CHACHA, "aes128-ctr"), [CHACHA], None, (CHACHA, "aes128-ctr")),
    ],
    ids=[
        "listed last",
        "not known",
        "in one direction",
        "in the other",
        "not in the offer",
        "an AEAD beside it",
        "another AEAD alone",
    ],
)
def test_the_aead_ciphers_of_the_offer_are_offered_alone_to_who_lists_an_aes_gcm_of_it(
    ours: Sequence[str], to_server: Sequence[str], to_client: Sequence[str] | None, offered: Sequence[str]
) -> None:
    assert offered_ciphers(ours, kexinit(to_server, to_client)) == list(offered)


@pytest.mark.parametrize(
    "broken", [b"", bytes([MSG_KEXINIT]), bytes([MSG_KEXINIT]) + bytes(19) + b"\xff" * 9]
)
def test_what_is_no_kexinit_changes_nothing(broken: bytes) -> None:
    assert offered_ciphers(OURS, broken) == list(OURS)


@pytest.mark.parametrize(
    ("listed", "used"),
    [
        (["aes256-ctr", "aes128-ctr", GCM], GCM),
        (["aes256-ctr", "aes128-ctr"], "aes256-ctr"),
        ([GCM, "aes256-gcm@openssh.com"], GCM),
    ],
)
async def test_a_client_ends_with_its_first_aes_gcm_and_without_one_with_its_first_cipher(
    listed: list[str], used: str
) -> None:
    async with listener_harness() as harness, await harness.connect(encryption_algs=listed) as connection:
        assert connection.get_extra_info("send_cipher") == used
        assert connection.get_extra_info("recv_cipher") == used


async def test_new_keys_are_of_the_same_cipher() -> None:
    listed = ["aes256-ctr", GCM]
    async with (
        listener_harness(ssh={"rekey_bytes": 1 << 20}) as harness,
        await harness.connect(encryption_algs=listed, rekey_bytes=1 << 20) as connection,
    ):
        async with connection.start_sftp_client() as client, client.open("/f", "wb") as file:
            await file.write(bytes(3 << 20))
        assert connection.get_extra_info("send_cipher") == GCM


async def test_a_client_that_waits_for_the_server_s_list_gets_the_whole_offer_and_can_log_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send, process = SSHClientConnection._send_kexinit, SSHClientConnection._packet_handlers[MSG_KEXINIT]
    monkeypatch.setattr(SSHClientConnection, "_send_kexinit", lambda _: None)

    def answered(conn: Any, *received: Any) -> Any:
        send(conn)
        return process(conn, *received)

    handlers = {**SSHClientConnection._packet_handlers, MSG_KEXINIT: answered}
    monkeypatch.setattr(SSHClientConnection, "_packet_handlers", handlers)
    async with (
        listener_harness() as harness,
        await harness.connect(encryption_algs=["aes256-ctr", GCM]) as connection,
    ):
        assert connection.get_extra_info("send_cipher") == "aes256-ctr"


async def test_without_the_preference_everybody_gets_the_whole_offer_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(late_kexinit, "WAIT_SECONDS", 3600)
    async with listener_harness(ssh={"prefer_aead": False}) as harness:
        reader, writer = await harness.socket()
        assert "aes128-ctr" in kexinit_lists(await read_kexinit(reader, writer))[2]
        writer.close()
        async with await harness.connect(encryption_algs=["aes256-ctr", GCM]) as connection:
            assert connection.get_extra_info("send_cipher") == "aes256-ctr"


async def test_a_client_that_leaves_while_the_server_waits_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(late_kexinit, "WAIT_SECONDS", 3600)
    async with listener_harness() as harness:
        reader, writer = await harness.socket()
        writer.write(b"SSH-2.0-test\r\n")
        async with asyncio.timeout(60):
            while not harness.logged("connection.identified"):
                await asyncio.sleep(0.01)
        writer.close()
        await harness.empties()
        assert (await reader.read()).count(b"\n") == 1, "its version and no more"
