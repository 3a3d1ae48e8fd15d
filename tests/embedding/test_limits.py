"""Limits of users that an application's authenticator gives."""

from __future__ import annotations

import time

import asyncssh
import pytest

from s3sftp.auth import Identity, Limits
from tests.embedding.password_clients import PASSWORD, openssh, server_of


class Users:
    """An authenticator with one password for everybody, and limits for alice."""

    accepts_passwords = True
    accepts_public_keys = False

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        limits = Limits(max_sessions=1, requests_per_second=10) if user == "alice" else Limits()
        return Identity(user, f"{user}/", limits=limits) if password == PASSWORD else None

    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        return None


@pytest.mark.parametrize("user", ["alice", "bob"])
async def test_limits_of_an_identity_hold_for_its_user_alone(user: str) -> None:
    async with server_of(auth=Users()) as server:
        async with asyncssh.connect(
            "127.0.0.1",
            server.port,
            username=user,
            password=PASSWORD,
            client_keys=None,
            known_hosts=None,
            config=None,
        ) as connection:
            await connection.start_sftp_client()
            done = await openssh(server.port, "pwd", user=user)
            assert done.status == (255 if user == "alice" else 0)


async def test_requests_of_an_identity_with_a_limit_take_their_time() -> None:
    async with server_of(auth=Users()) as server:
        began = time.monotonic()
        done = await openssh(server.port, *(f"mkdir d{number}" for number in range(30)))
        assert done.status == 0, done.text
        assert time.monotonic() - began >= (30 - 1 - 10) / 10
