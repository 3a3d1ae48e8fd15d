"""An application that accepts SSH certificates: what it is asked, and what the server has verified before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from s3sftp import Authenticator, AuthOptions, Certificate, Identity, LoginRefused, Server
from s3sftp.backends.memory import MemoryBackend
from tests.embedding.password_clients import server_of
from tests.support.logs import capture_events
from tests.support.ssh_ca import certify, make_key, public_line


class Employees(Authenticator):
    """Trusts one CA, and takes the tenant from the principal `user@tenant`."""

    def __init__(self, authority: Path) -> None:
        self._authority = asyncssh.read_public_key(f"{authority}.pub").get_fingerprint()
        self.asked: list[Certificate] = []

    async def by_certificate(self, user: str, certificate: Certificate, address: str) -> Identity | None:
        self.asked.append(certificate)
        if certificate.authority.get_fingerprint() != self._authority:
            raise LoginRefused("a CA of somebody else")
        tenants = [name.partition("@")[2] for name in certificate.principals if name.startswith(f"{user}@")]
        return Identity(user, f"{tenants[0]}/") if tenants else None


class NoCertificates(Authenticator):
    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        return Identity(user)


@asynccontextmanager
async def logged_in(server: Server, key: Path) -> AsyncIterator[asyncssh.SSHClientConnection]:
    async with asyncssh.connect(
        "127.0.0.1",
        server.port,
        username="alice",
        client_keys=[(str(key), f"{key}-cert.pub")],
        known_hosts=None,
        config=None,
        agent_path=None,
        preferred_auth="publickey",
    ) as connection:
        yield connection


async def test_by_certificate_decides_who_it_is_and_need_not_verify_what_the_server_has(
    tmp_path: Path,
) -> None:
    ca, key = make_key(tmp_path, "ca"), make_key(tmp_path, "key")
    employees, backend = Employees(ca), MemoryBackend()
    assert (employees.accepts_passwords, employees.accepts_public_keys) == (False, True)
    async with server_of(backend, auth=employees) as server:
        certify(ca, key, principals="alice@acme,alice@umbrella")
        async with logged_in(server, key) as connection, connection.start_sftp_client() as sftp:
            async with sftp.open("/f", "wb") as file:
                await file.write(b"x")
        assert set(backend.contents()) == {"acme/f"}
        employees.asked.clear()
        for options in (
            ("-V", "-2h:-1h"),
            ("-O", "source-address=192.0.2.1"),
            ("-O", "force-command=x"),
            ("-h",),
        ):
            certify(ca, key, *options, principals="alice@acme")
            with pytest.raises(asyncssh.PermissionDenied):
                async with logged_in(server, key):
                    pass
        assert not employees.asked


async def test_what_it_refuses_with_a_reason_is_in_the_log_alone(tmp_path: Path) -> None:
    ca, key = make_key(tmp_path, "ca"), make_key(tmp_path, "key")
    async with server_of(auth=Employees(ca)) as server:
        certify(make_key(tmp_path, "other"), key, principals="alice@acme")
        with capture_events() as log:
            with pytest.raises(asyncssh.PermissionDenied) as refused:
                async with logged_in(server, key):
                    pass
            await asyncio.sleep(0)
        assert "CA" not in str(refused.value)
        told = [entry for entry in log if entry["event"] == "login.certificate_refused"]
        assert {entry["reason"] for entry in told} == {"a CA of somebody else"}
        assert not [entry for entry in log if entry["event"] == "authenticator.failed"]


async def test_an_authenticator_of_keys_alone_accepts_no_certificate(tmp_path: Path) -> None:
    ca, key = make_key(tmp_path, "ca"), make_key(tmp_path, "key")
    certify(ca, key)
    asked: list[str] = []

    class Keys(NoCertificates):
        async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
            asked.append(key.get_fingerprint())
            return None

    async with server_of(auth=Keys()) as server:
        with pytest.raises(asyncssh.PermissionDenied):
            async with logged_in(server, key):
                pass
    # the key itself was asked about, after its certificate was refused
    assert set(asked) <= {asyncssh.read_public_key(f"{key}.pub").get_fingerprint()}


async def test_revoked_keys_bind_an_applications_authenticator_too(tmp_path: Path) -> None:
    ca, key = make_key(tmp_path, "ca"), make_key(tmp_path, "key")
    certify(ca, key, principals="alice@acme")
    revoked = tmp_path / "revoked"
    revoked.write_text("# none\n")
    async with server_of(auth=Employees(ca), logins=AuthOptions(revoked_keys=revoked)) as server:
        async with logged_in(server, key):
            pass
        revoked.write_text(public_line(key) + "\n")
        with pytest.raises(asyncssh.PermissionDenied):
            async with logged_in(server, key):
                pass
