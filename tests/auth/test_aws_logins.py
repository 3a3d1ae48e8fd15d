"""Real clients log in as users in DynamoDB and Secrets Manager, to a real server and a real bucket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest
from argon2 import PasswordHasher

from testbed.processes import free_port
from testbed.s3_store import Store
from tests.admin.admin_client import admin_port_of, ask, until
from tests.admin.admin_servers import serving
from tests.embedding.password_clients import openssh, paramiko_sftp
from tests.support.aws_users import REGION, Aws, Relay, errs, running_relay
from tests.support.clients import Clients
from tests.support.hook_server import Hook, running_hook, says
from tests.support.s3_client import S3
from tests.support.server import Server
from tests.support.sourced_user import (
    PASSWORD,
    QUICK,
    Bob,
    logged_in,
    require_refused,
    store_by_password_and_by_key,
)
from tests.support.ssh_ca import certify, make_key, public_line

SERVICES = ["dynamodb", "secrets_manager"]
EITHER = pytest.mark.parametrize("service", SERVICES)
WORKERS = pytest.mark.parametrize("workers", [1, 2], ids=["one process", "two workers"])
ACCEPTS = {"authenticated": True, "user": {"prefix": "taken-over/"}}


@dataclass
class Site:
    server: Server
    aws: Aws
    bob: Bob
    line: str
    clients: Clients

    def put(self, service: str, user: str, **record: Any) -> None:
        if service == "dynamodb":
            self.aws.put_item(user, **record)
        else:
            self.aws.put_secret(user, record)


@pytest.fixture
def aws(moto: Store, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """Services that the credentials in the server's environment open."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto.secret_key)
    aws = Aws(moto)
    aws.make_table()
    return aws


def source(aws: Aws, service: str, url: str) -> dict[str, object]:
    where = {"users_table": aws.table} if service == "dynamodb" else {"prefix": aws.prefix}
    return {**where, "endpoint_url": url, "region": REGION, "role": "ignore", **QUICK}


@asynccontextmanager
async def site(
    directory: Path, store: Store, bucket: str, aws: Aws, sources: dict[str, Any], workers: int = 1
) -> AsyncIterator[Site]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    async with serving(directory, store, bucket, workers, sources) as server:
        bob = Bob.of(server, key, directory)
        line = key.export_public_key().decode().strip()
        yield Site(server, aws, bob, line, Clients(bob, directory / "home"))


def aws_form(bucket: str, line: str) -> dict[str, Any]:
    return {
        "Role": "arn:aws:iam::123456789012:role/transfer-access-role",
        "Password": PASSWORD,
        "HomeDirectoryDetails": f'[{{"Entry": "/", "Target": "/{bucket}/partners/bob"}}]',
        "PublicKey": line,
    }


def own_form(bucket: str, line: str) -> dict[str, Any]:
    hasher = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
    return {
        "password_hash": hasher.hash(PASSWORD),
        "prefix": "partners/bob/",
        "authorized_keys": [line],
    }


@EITHER
@pytest.mark.parametrize("form", [aws_form, own_form], ids=["AWS's form", "own form"])
async def test_real_clients_log_in_by_password_and_by_key(
    seaweed: Store, moto: Store, bucket: str, s3: S3, tmp_path: Path, aws: Aws, service: str, form: Any
) -> None:
    sources = {service: source(aws, service, moto.endpoint_url)}
    async with site(tmp_path, seaweed, bucket, aws, sources) as there:
        there.put(service, "bob", **form(bucket, there.line))
        await store_by_password_and_by_key(there.bob, there.clients, s3, tmp_path)


@EITHER
@WORKERS
async def test_wrong_passwords_unknown_users_and_other_keys_are_refused(
    seaweed: Store, moto: Store, bucket: str, tmp_path: Path, aws: Aws, service: str, workers: int
) -> None:
    sources = {service: source(aws, service, moto.endpoint_url)}
    async with site(tmp_path, seaweed, bucket, aws, sources, workers) as there:
        there.put(service, "bob", **aws_form(bucket, there.line))
        port = there.server.port

        def by_paramiko(user: str, password: str) -> None:
            with paramiko_sftp(port, user, password):
                pass

        for user, password in (("bob", "wrong"), ("eve", PASSWORD)):
            with pytest.raises(paramiko.AuthenticationException):
                await asyncio.to_thread(by_paramiko, user, password)
        await require_refused(there.bob, there.clients)
        assert there.server.count("login.accepted") == 0
        assert PASSWORD not in there.server.output()


@EITHER
async def test_rights_and_rules_of_a_record_hold(
    seaweed: Store, moto: Store, bucket: str, s3: S3, tmp_path: Path, aws: Aws, service: str
) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"hello")
    sources = {service: source(aws, service, moto.endpoint_url)}
    async with site(tmp_path, seaweed, bucket, aws, sources) as there:
        port = there.server.port
        record = own_form(bucket, there.line) | {"prefix": "acme/", "rights": "drop-box"}
        there.put(service, "bob", **record)
        (await openssh(port, f"put {local} /a", user="bob", password=PASSWORD)).ok()
        assert (await openssh(port, "get /a", user="bob", password=PASSWORD)).status != 0
        assert await s3.keys() == ["acme/a"]
        rules: dict[str, dict[str, object]] = {
            "carol": {"disabled": True},
            "dave": {"expires": "2020-01-31"},
            "erin": {"networks": ["192.0.2.0/24"]},
        }
        for user, rule in rules.items():
            there.put(service, user, **record, **rule)
            assert (await openssh(port, "ls", user=user, password=PASSWORD)).status != 0
        assert there.server.count("login.accepted") == 2


@EITHER
async def test_openssh_logs_in_by_a_certificate_of_a_ca_in_the_record(
    seaweed: Store, moto: Store, bucket: str, tmp_path: Path, aws: Aws, service: str
) -> None:
    ca = make_key(tmp_path, "ca")
    sources = {service: source(aws, service, moto.endpoint_url)}
    async with site(tmp_path, seaweed, bucket, aws, sources) as there:
        trusted = f"cert-authority {public_line(ca)}"
        there.put(service, "bob", prefix="bob/", authorized_keys=[trusted])
        Path(f"{there.bob.key_file}.pub").write_text(f"{there.line}\n")
        assert (await there.clients.sftp("ls")).status != 0
        certify(ca, there.bob.key_file, principals="carol")
        assert (await there.clients.sftp("ls")).status != 0
        certify(ca, there.bob.key_file, principals="bob")
        (await there.clients.sftp("ls")).ok()


async def test_sources_are_asked_in_order_and_none_takes_over_a_name(
    seaweed: Store, moto: Store, bucket: str, tmp_path: Path, aws: Aws
) -> None:
    async with running_hook(says(ACCEPTS)) as hook, running_relay(moto) as relay:
        sources: dict[str, Any] = {name: source(aws, name, relay.url) for name in SERVICES}
        sources["hook"] = {"url": hook.url, **QUICK}
        async with site(tmp_path, seaweed, bucket, aws, sources) as there:
            await _check_order(there, relay, hook, own_form(bucket, there.line))


async def _check_order(there: Site, relay: Relay, hook: Hook, record: dict[str, Any]) -> None:
    port = there.server.port
    there.put("dynamodb", "bob", **record)
    there.put("secrets_manager", "bob", **aws_form(there.server.bucket, there.line))
    there.put("secrets_manager", "carol", **record)

    async def may(user: str, password: str) -> bool:
        return (await openssh(port, "ls", user=user, password=password)).status == 0

    assert await may("alice", there.server.password)
    assert relay.asked == []  # the configuration knows her
    assert await may("bob", PASSWORD)
    assert not await may("bob", "wrong")
    assert all("TableName" in asked for asked in relay.asked)
    assert await may("carol", PASSWORD)
    assert hook.asked == []
    assert await may("dave", "any")  # whom only the hook accepts
    assert hook.users == ["dave"]
    relay.fault = errs("InternalServerError", 500)
    assert not await may("bob", PASSWORD)
    assert not await may("dave", "any")
    assert hook.users == ["dave"]  # nobody knows whether his name is another source's


@EITHER
@WORKERS
async def test_while_the_service_is_down_nobody_comes_in_sessions_go_on_and_health_says_so(
    seaweed: Store, moto: Store, bucket: str, tmp_path: Path, aws: Aws, service: str, workers: int
) -> None:
    port = free_port()
    sources = {service: source(aws, service, f"http://127.0.0.1:{port}")}
    async with site(tmp_path, seaweed, bucket, aws, sources, workers) as there:
        server = there.server
        there.put(service, "bob", **aws_form(bucket, there.line))

        async with running_relay(moto, port):
            connection = await logged_in(server)
            sftp = await connection.start_sftp_client()
        while server.count("aws_users.down") < workers:  # so many at once that each worker has some
            tried = await asyncio.gather(*(logged_in(server) for _ in range(6)), return_exceptions=True)
            assert all(isinstance(each, asyncssh.PermissionDenied) for each in tried), tried
        said = await until(server, "/readyz", lambda said: "aws_users_down" in said.warnings)
        assert said.status == 200  # alice, who is configured, can log in
        assert said.warnings["aws_users_down"].startswith(f"{service} does not answer {workers} of")
        metrics = (await ask(admin_port_of(server), "/metrics")).body.decode()
        assert f'\ns3sftp_aws_users_down{{service="{service}"}} {workers:.1f}\n' in metrics
        assert await sftp.listdir("/") == [".", ".."]  # the session goes on
        (await openssh(server.port, "ls", user="alice", password=server.password)).ok()
        async with running_relay(moto, port):
            await until(server, "/readyz", lambda said: not said.warnings)
            (await logged_in(server)).abort()
        connection.abort()
        await server.until(
            lambda: server.count("aws_users.up") == workers, "each process to say that it is up"
        )
        assert server.count("aws_users.down") == workers
