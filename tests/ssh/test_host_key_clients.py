"""What real clients see of three host keys: all, the one they know, and proofs of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest
from asyncssh.packet import SSHPacket, String

from tests.ssh.listener_harness import ALICES_KEY, HOST_KEY, PASSWORD, listener_harness, write_key
from tests.ssh.ssh_clients import dbclient, openssh
from tests.support.commands import installed, run

RSA_KEY = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
HOST_KEYS = (HOST_KEY, asyncssh.generate_private_key("ecdsa-sha2-nistp256"), RSA_KEY)
ALGORITHMS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256")


def blobs(known_hosts: str) -> set[str]:
    """The keys in lines of known_hosts, as they are written there."""
    return {line.split()[2] for line in known_hosts.splitlines() if line and not line.startswith("#")}


def public(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode().split()[1]


async def test_ssh_keyscan_finds_all_three() -> None:
    async with listener_harness(host_keys=HOST_KEYS) as harness:
        result = await run([installed("ssh-keyscan"), "-T", "20", "-p", str(harness.port), "127.0.0.1"])
        assert blobs(result.out.decode()) == {public(key) for key in HOST_KEYS}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_openssh_that_knows_one_algorithm_logs_in_and_learns_what_it_may(
    tmp_path: Path, algorithm: str
) -> None:
    key, known_hosts = write_key(ALICES_KEY, tmp_path / "key"), tmp_path / "known_hosts"
    async with listener_harness(host_keys=HOST_KEYS) as harness:
        options = (f"IdentityFile={key}", "BatchMode=yes", "UpdateHostKeys=yes")
        only = (f"HostKeyAlgorithms={algorithm}", *options)
        (await openssh(harness.port, *only, known_hosts=known_hosts)).ok()
        assert len(blobs(known_hosts.read_text())) == 1
        # the next time it takes all: the others are proved to it, by the algorithm of the first
        first = f"HostKeyAlgorithms={algorithm},{','.join(ALGORITHMS)}"
        result = await openssh(harness.port, first, *options, "LogLevel=DEBUG", known_hosts=known_hosts)
        result.ok()
        assert blobs(known_hosts.read_text()) == {public(key) for key in HOST_KEYS}, result.text


@pytest.mark.parametrize(
    ("negotiated", "proof"),
    [
        ("ssh-ed25519", "rsa-sha2-512"),
        ("rsa-sha2-512", "rsa-sha2-512"),
        ("rsa-sha2-256", "rsa-sha2-256"),
    ],
)
async def test_an_rsa_host_key_is_proved_with_sha2(negotiated: str, proof: str) -> None:
    async with listener_harness(host_keys=HOST_KEYS) as harness:
        connection = await harness.connect(server_host_key_algs=[negotiated])
        conn: Any = connection
        asked = String(RSA_KEY.public_data)
        for _ in range(3):
            _, packet = await conn._make_global_request(b"hostkeys-prove-00@openssh.com", asked)
            signature = packet.get_string()
            assert SSHPacket(signature).get_string().decode() == proof
            signed = String("hostkeys-prove-00@openssh.com") + String(conn._session_id) + asked
            assert RSA_KEY.convert_to_public().verify(signed, signature)
        connection.close()


async def test_a_key_that_is_not_the_servers_is_not_proved() -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    async with listener_harness(host_keys=HOST_KEYS) as harness:
        connection = await harness.connect()
        conn: Any = connection
        for asked in (String(stranger.public_data), b"\0\0\0\xff"):
            kind, _ = await conn._make_global_request(b"hostkeys-prove-00@openssh.com", asked)
            assert kind == 82
        connection.close()


async def test_connections_that_negotiate_other_algorithms_do_not_change_each_others_signatures() -> None:
    """The algorithm is chosen with KEXINIT and used a round trip later: another may come between."""
    async with listener_harness(host_keys=HOST_KEYS) as harness:

        async def log_in(algorithm: str) -> None:
            for _ in range(5):
                (await harness.connect(server_host_key_algs=[algorithm])).close()

        await asyncio.gather(*(log_in(algorithm) for algorithm in ALGORITHMS * 2))


def _paramiko(port: int, keys: Sequence[str]) -> str:
    with paramiko.Transport(("127.0.0.1", port)) as transport:
        transport.get_security_options().key_types = tuple(keys)
        transport.connect(username="alice", password=PASSWORD)
        return transport.get_remote_server_key().get_name()


async def test_paramiko_and_dropbear_that_know_one_type_log_in(tmp_path: Path) -> None:
    async with listener_harness(host_keys=HOST_KEYS) as harness:
        for algorithm, kind in zip(ALGORITHMS, (*ALGORITHMS[:2], "ssh-rsa", "ssh-rsa"), strict=True):
            assert await asyncio.to_thread(_paramiko, harness.port, [algorithm]) == kind
        await dbclient(harness.port, tmp_path)
        assert len(harness.logged("login.accepted")) == 5


async def test_openssh_follows_a_rotation_of_the_host_key_without_a_question(tmp_path: Path) -> None:
    old, new = HOST_KEY, asyncssh.generate_private_key("ssh-ed25519")
    key, known_hosts = write_key(ALICES_KEY, tmp_path / "key"), tmp_path / "known_hosts"
    options = (f"IdentityFile={key}", "BatchMode=yes", "UpdateHostKeys=yes", "StrictHostKeyChecking=yes")
    options += ("HostKeyAlias=rotating",)  # the port is another at each start
    known_hosts.write_text(f"rotating {old.export_public_key().decode()}")
    for keys, known in [((old, new), {old, new}), ((new, old), {old, new}), ((new,), {new})]:
        async with listener_harness(host_keys=keys) as harness:
            (await openssh(harness.port, *options, known_hosts=known_hosts)).ok()
            used = await asyncssh.get_server_host_key("127.0.0.1", harness.port, config=None)
        assert used is not None
        assert used.public_data == keys[0].public_data
        assert blobs(known_hosts.read_text()) == {public(each) for each in known}
