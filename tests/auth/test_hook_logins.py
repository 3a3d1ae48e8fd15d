"""Real clients log in through a hook, to a real server in front of a real bucket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from testbed.processes import free_port
from testbed.s3_store import Store
from tests.admin.admin_client import admin_port_of, ask, until
from tests.admin.admin_servers import serving
from tests.embedding.password_clients import openssh
from tests.support.clients import Clients
from tests.support.hook_server import Hook, decides, running_hook, says
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

EITHER = pytest.mark.parametrize("workers", [1, 2], ids=["one process", "two workers"])


@dataclass
class Site:
    server: Server
    hook: Hook
    bob: Bob
    key: asyncssh.SSHKey
    clients: Clients


def provider(bucket: str, key: asyncssh.SSHKey) -> Any:
    """A custom identity provider as AWS's user guide has it."""

    def answer(fields: dict[str, Any]) -> object:
        if fields["username"] != "bob" or fields["protocol"] != "SFTP" or not fields["serverId"]:
            return {}
        said: dict[str, object] = {
            "Role": "arn:aws:iam::123456789012:role/transfer-access-role",
            "Policy": "",
            "HomeDirectoryType": "LOGICAL",
            "HomeDirectoryDetails": f'[{{"Entry": "/", "Target": "/{bucket}/partners/bob"}}]',
        }
        if not fields["password"]:
            return said | {"PublicKeys": [key.export_public_key().decode().strip()]}
        return said if fields["password"] == PASSWORD else {}

    return answer


@asynccontextmanager
async def site(
    directory: Path, store: Store, bucket: str, workers: int, **options: object
) -> AsyncIterator[Site]:
    """A server and its hook. More users are configured in `directory / "users"`."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    users = directory / "users"
    users.mkdir()
    async with running_hook(decides(provider(bucket, key))) as hook:
        given = {"url": hook.url, "role": "ignore", **QUICK, **options}
        groups = {
            "hook": given,
            "auth": {"ban_failures": 0, "users_dir": str(users)},
            "server": {"reload_interval": "0.2 s"},
        }
        async with serving(directory, store, bucket, workers, groups) as server:
            bob = Bob.of(server, key, directory)
            yield Site(server, hook, bob, key, Clients(bob, directory / "home"))


@EITHER
async def test_real_clients_log_in_by_password_and_by_key(
    seaweed: Store, bucket: str, s3: S3, tmp_path: Path, workers: int
) -> None:
    async with site(tmp_path, seaweed, bucket, workers) as there:
        await store_by_password_and_by_key(there.bob, there.clients, s3, tmp_path)


@EITHER
async def test_wrong_passwords_unknown_users_and_other_keys_are_refused(
    seaweed: Store, bucket: str, tmp_path: Path, workers: int
) -> None:
    async with site(tmp_path, seaweed, bucket, workers) as there:
        await require_refused(there.bob, there.clients)
        assert there.server.count("login.accepted") == 0


async def test_the_password_of_a_configured_user_never_reaches_the_hook(
    seaweed: Store, bucket: str, tmp_path: Path
) -> None:
    async with site(tmp_path, seaweed, bucket, 1) as there:
        there.hook.answer = says({"authenticated": True, "user": {}})
        server = there.server
        (await openssh(server.port, "ls", user="alice", password=server.password)).ok()
        assert (await openssh(server.port, "ls", user="alice", password="wrong")).status != 0
        assert there.hook.asked == []


async def reloaded(there: Site, times: int) -> None:
    await there.server.until(lambda: there.server.count("config.reloaded") == times, "the users to be read")


@EITHER
async def test_a_user_of_the_hook_is_barred_by_a_disabled_user_of_the_configuration(
    seaweed: Store, bucket: str, tmp_path: Path, workers: int
) -> None:
    async with site(tmp_path, seaweed, bucket, workers) as there:
        bob = await logged_in(there.server)
        (tmp_path / "users" / "bob.toml").write_text("[users.bob]\ndisabled = true\n")
        await asyncio.wait_for(bob.wait_closed(), 20)
        asked = len(there.hook.asked)
        with pytest.raises(asyncssh.PermissionDenied):
            await logged_in(there.server)
        assert len(there.hook.asked) == asked
        assert there.server.events("connection.ending")[0]["user"] == "bob"


@EITHER
async def test_sessions_of_the_hook_end_if_the_configuration_takes_the_name_and_others_go_on(
    seaweed: Store, bucket: str, tmp_path: Path, workers: int
) -> None:
    async with site(tmp_path, seaweed, bucket, workers) as there:
        there.hook.answer = says({"authenticated": True, "user": {}})
        bob, carol = await logged_in(there.server), await logged_in(there.server, "carol")
        line = there.key.export_public_key().decode().strip()
        (tmp_path / "users" / "bob.toml").write_text(f"[users.bob]\nauthorized_keys = ['{line}']\n")
        await asyncio.wait_for(bob.wait_closed(), 20)
        assert await (await carol.start_sftp_client()).listdir("/") == [".", ".."]
        carol.abort()
        (await there.clients.sftp("ls")).ok()  # the configured bob
        assert there.hook.users == ["bob", "carol"]


async def test_a_user_who_is_removed_from_the_configuration_is_asked_of_the_hook_and_comes_in_by_it_alone(
    seaweed: Store, bucket: str, tmp_path: Path
) -> None:
    async with site(tmp_path, seaweed, bucket, 1) as there:
        there.hook.answer = says({})
        file = tmp_path / "users" / "bob.toml"
        file.write_text(
            f"[users.bob]\nauthorized_keys = ['{there.key.export_public_key().decode().strip()}']\n"
        )
        await reloaded(there, 1)
        (await there.clients.sftp("ls")).ok()
        assert there.hook.asked == []
        file.unlink()
        await reloaded(there, 2)
        assert (await there.clients.sftp("ls")).status != 0
        assert set(there.hook.users) == {"bob"}


async def test_rights_mounts_and_networks_of_an_answer_hold(
    seaweed: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    def user(**more: object) -> Any:
        mounts = {
            "/in": {"prefix": "acme/in/", "rights": "drop-box"},
            "/out": {"prefix": "acme/out/", "rights": "pick-up"},
        }
        return says({"authenticated": True, "user": {"mounts": mounts, **more}})

    local = tmp_path / "local"
    local.write_bytes(b"hello")
    async with site(tmp_path, seaweed, bucket, 1) as there:
        port = there.server.port
        there.hook.answer = user()
        (await openssh(port, f"put {local} /in/a", user="bob", password=PASSWORD)).ok()
        assert (await openssh(port, f"put {local} /out/a", user="bob", password=PASSWORD)).status != 0
        assert (await openssh(port, f"put {local} /a", user="bob", password=PASSWORD)).status != 0
        assert await s3.keys() == ["acme/in/a"]
        for rule in ({"networks": ["192.0.2.0/24"]}, {"expires": "2020-01-31"}, {"disabled": True}):
            there.hook.answer = user(**rule)
            assert (await openssh(port, "ls", user="bob", password=PASSWORD)).status != 0
        assert there.server.count("login.accepted") == 3


@EITHER
async def test_limits_of_an_answer_hold(seaweed: Store, bucket: str, tmp_path: Path, workers: int) -> None:
    async with site(tmp_path, seaweed, bucket, workers) as there:
        port = there.server.port
        there.hook.answer = says({"authenticated": True, "user": {"limits": {"max_sessions": 1}}})
        logins = [
            await asyncssh.connect(
                "127.0.0.1",
                port,
                username="bob",
                password=PASSWORD,
                client_keys=None,
                known_hosts=None,
                config=None,
            )
            for _ in range(2)
        ]
        first, second = logins
        session = await first.start_sftp_client()
        with pytest.raises(asyncssh.ChannelOpenError, match="too many sessions of this user"):
            await second.start_sftp_client()
        assert await session.realpath(".") == "/"
        assert (await openssh(port, "ls", user="bob", password=PASSWORD)).status == 255
        for each in logins:
            each.abort()


async def test_a_role_that_is_not_to_be_ignored_lets_nobody_in_and_the_log_says_why(
    seaweed: Store, bucket: str, tmp_path: Path
) -> None:
    async with site(tmp_path, seaweed, bucket, 1, role="refuse") as there:
        assert (await openssh(there.server.port, "ls", user="bob", password=PASSWORD)).status != 0
        said = there.server.events("hook.answer_unusable")[0]
        assert (said["user"], 'hook.role = "ignore"' in said["problem"]) == ("bob", True)
        assert PASSWORD not in there.server.output()


@EITHER
async def test_while_the_hook_is_down_nobody_comes_in_sessions_go_on_and_health_says_so(
    seaweed: Store, bucket: str, tmp_path: Path, workers: int
) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    port = free_port()
    options = {"hook": {"url": f"http://127.0.0.1:{port}/", "role": "ignore", **QUICK}}
    answer = decides(provider(bucket, key))
    async with serving(tmp_path, seaweed, bucket, workers, options) as server:
        async with running_hook(answer, port=port):
            connection = await logged_in(server)
            sftp = await connection.start_sftp_client()
        while server.count("hook.down") < workers:  # so many at once that each worker has some
            tried = await asyncio.gather(*(logged_in(server) for _ in range(6)), return_exceptions=True)
            assert all(isinstance(each, asyncssh.PermissionDenied) for each in tried), tried
        said = await until(server, "/readyz", lambda said: "hook_down" in said.warnings)
        assert said.status == 200  # alice, who is configured, can log in
        assert f"http://127.0.0.1:{port}/" in said.warnings["hook_down"]
        metrics = (await ask(admin_port_of(server), "/metrics")).body.decode()
        assert f"\ns3sftp_hook_down {workers:.1f}\n" in metrics
        assert 's3sftp_logins_total{method="password",result="error"}' in metrics
        assert await sftp.listdir("/") == [".", ".."]  # the session goes on
        (await openssh(server.port, "ls", user="alice", password=server.password)).ok()
        async with running_hook(answer, port=port):
            await until(server, "/readyz", lambda said: not said.warnings)
            (await logged_in(server)).abort()
        connection.abort()
        await server.until(lambda: server.count("hook.up") == workers, "each process to say that it is up")
        assert server.count("hook.down") == workers
