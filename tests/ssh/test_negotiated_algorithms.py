"""The log says which algorithms a client and the server have agreed on."""

from __future__ import annotations

import asyncssh
import pytest

from tests.ssh.listener_harness import listener_harness

RSA = asyncssh.generate_private_key("ssh-rsa", key_size=2048)


@pytest.mark.parametrize(
    ("cipher", "mac"),
    [("aes128-ctr", "hmac-sha2-256"), ("aes256-gcm@openssh.com", "aes256-gcm@openssh.com")],
    ids=["a MAC", "a cipher that needs none"],
)
async def test_a_login_is_logged_with_what_was_agreed_on(cipher: str, mac: str) -> None:
    async with listener_harness(host_keys=(RSA,)) as harness:
        connection = await harness.connect(
            kex_algs=["ecdh-sha2-nistp256"],
            server_host_key_algs=["rsa-sha2-256"],
            encryption_algs=[cipher],
            mac_algs=["hmac-sha2-256"],
        )
        connection.close()
        (entry,) = harness.logged("login.accepted")
        agreed = (entry["key_exchange"], entry["host_key"], entry["cipher"], entry["mac"])
        assert agreed == ("ecdh-sha2-nistp256", "rsa-sha2-256", cipher, mac)
