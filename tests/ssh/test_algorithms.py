"""What is offered for a connection: modern algorithms, and not one weak one, whatever asyncssh can do."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncssh
import pytest
from pydantic import ValidationError

from s3sftp.auth import UserOptions
from s3sftp.ssh import SshOptions
from tests.ssh.listener_harness import (
    ALICES_KEY,
    HOST_KEY,
    kexinit_lists,
    listener_harness,
    read_kexinit,
    write_key,
)

WEAK = ("sha1", "md5", "cbc", "arcfour", "dss", "group1-", "-96", "3des", "gss", "rsa1024", "chacha20")


async def offered(**arguments: object) -> list[list[str]]:
    async with listener_harness(**arguments) as harness:  # type: ignore[arg-type]
        reader, writer = await harness.socket()
        lists = kexinit_lists(await read_kexinit(reader, writer))
        writer.close()
        return lists


async def test_post_quantum_key_exchange_comes_first_and_strict_mode_is_announced() -> None:
    exchanges = (await offered())[0]
    assert exchanges[0] == "mlkem768x25519-sha256"
    assert {"curve25519-sha256", "ecdh-sha2-nistp256", "diffie-hellman-group16-sha512"} <= set(exchanges)
    assert "kex-strict-s-v00@openssh.com" in exchanges


async def test_nothing_weak_is_offered_and_no_compression() -> None:
    lists = await offered()
    names = [name for names in lists[:6] for name in names]
    assert not [name for name in names if any(weak in name for weak in WEAK) or name == "ssh-rsa"]
    assert lists[2][:2] == ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"]
    assert lists[4][0].endswith("-etm@openssh.com")
    assert lists[6] == lists[7] == ["none"]


async def test_an_rsa_host_key_signs_without_sha1() -> None:
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    lists = await offered(host_keys=(key, HOST_KEY))
    assert set(lists[1]) == {"rsa-sha2-256", "rsa-sha2-512", "ssh-ed25519"}


@pytest.mark.parametrize(("algorithm", "welcome"), [("rsa-sha2-512", True), ("ssh-rsa", False)])
async def test_a_users_rsa_key_logs_in_with_sha2_and_not_with_sha1(algorithm: str, welcome: bool) -> None:
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    users = {"alice": UserOptions(authorized_keys=(key.export_public_key().decode(),))}
    pair = asyncssh.load_keypairs([key])[0]
    pair.set_sig_algorithm(algorithm.encode())
    # the client insists, whatever the server has announced
    pair.sig_algorithms = (algorithm.encode(),)
    async with listener_harness(users=users) as harness:
        login = harness.connect(
            password=None, client_keys=[pair], preferred_auth="publickey", signature_algs=algorithm
        )
        if welcome:
            (await login).close()
        else:
            with pytest.raises(asyncssh.PermissionDenied):
                await login


async def test_options_replace_the_lists() -> None:
    lists = await offered(ssh={"ciphers": ["aes256-ctr"], "key_exchanges": ["curve25519-sha256"]})
    assert lists[2] == lists[3] == ["aes256-ctr"]
    assert "curve25519-sha256" in lists[0]
    assert "mlkem768x25519-sha256" not in lists[0]


@pytest.mark.parametrize(
    ("option", "name", "words"),
    [
        ("ciphers", "aes128-cbc", "too weak"),
        ("macs", "hmac-sha1", "too weak"),
        ("key_exchanges", "diffie-hellman-group1-sha1", "too weak"),
        ("signatures", "ssh-rsa", "too weak"),
        ("ciphers", "aes512-xyz", "known: .*aes256-ctr"),
    ],
)
def test_an_algorithm_that_cannot_be_offered_is_refused_at_start(option: str, name: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SshOptions(**{option: [name]})  # type: ignore[arg-type]


async def test_a_client_that_knows_only_old_algorithms_is_told_so(tmp_path: Path) -> None:
    async with listener_harness() as harness:
        process = await asyncio.create_subprocess_exec(
            *(
                "ssh",
                "-F",
                "none",
                "-p",
                str(harness.port),
                "-i",
                str(write_key(ALICES_KEY, tmp_path / "key")),
            ),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"),
            *("-o", "KexAlgorithms=diffie-hellman-group14-sha1", "alice@127.0.0.1"),
            stderr=asyncio.subprocess.PIPE,
        )
        _, words = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 255
        assert b"no matching key exchange method found" in words


async def test_the_version_is_ours_to_choose() -> None:
    async with listener_harness(ssh={"version": "files.example"}) as harness:
        reader, writer = await harness.socket()
        assert await reader.readline() == b"SSH-2.0-files.example\r\n"
        writer.close()
    with pytest.raises(ValidationError, match="version"):
        SshOptions(version="a\r\nb")
