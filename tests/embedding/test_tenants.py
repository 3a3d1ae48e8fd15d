"""examples/tenants.py: two tenants never see each other, whatever they try."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import asyncssh
import pytest

from examples.tenants import Tenants
from s3sftp import Server, StaticUser, StaticUsers
from s3sftp.backends import Backend, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.testing import BackendPromises
from tests.embedding.password_clients import PASSWORD, connect, openssh, server_of, write


class TestPromises(BackendPromises):
    """Each promise, and those about strangers, whom only a storage with tenants has."""

    exempt: ClassVar = {"test_no_session_is_too_odd": "who belongs to no tenant has no files"}
    session = Session("alice", attributes={"tenant": "acme"})
    other_session = Session("bob", attributes={"tenant": "acme"})
    stranger = Session("carol", attributes={"tenant": "other"})

    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Backend]:
        yield Tenants(MemoryBackend())


def of_tenant(name: str) -> StaticUser:
    return StaticUser(password=PASSWORD, attributes={"tenant": name})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    users = StaticUsers(
        {"alice": of_tenant("acme"), "bob": of_tenant("bolt"), "dave": of_tenant("acme"), "eve": PASSWORD}
    )
    async with server_of(Tenants(MemoryBackend()), auth=users) as running:
        yield running


async def test_a_tenant_sees_what_its_users_wrote(server: Server, tmp_path: Path) -> None:
    local, back = write(tmp_path / "local", b"a secret"), tmp_path / "back"
    done = await openssh(server.port, "mkdir d", f"put {local} d/file", user="alice")
    assert done.status == 0, done.text
    done = await openssh(server.port, f"get d/file {back}", user="dave")
    assert (done.status, back.read_bytes()) == (0, b"a secret"), done.text


async def test_another_tenant_finds_nothing_of_it_by_any_path(server: Server, tmp_path: Path) -> None:
    local, back = write(tmp_path / "local", b"a secret"), tmp_path / "back"
    done = await openssh(server.port, f"put {local} file", user="alice")
    assert done.status == 0, done.text
    for guess in ("file", "/file", "acme/file", "../acme/file", "/../acme/file", "bolt/../../acme/file"):
        done = await openssh(server.port, f"get {guess} {back}", user="bob")
        assert done.status != 0
        assert not back.exists()
    listed = await openssh(server.port, "ls -la /", "ls -la ..", user="bob")
    assert listed.status == 0, listed.text
    assert "acme" not in listed.text
    assert "file" not in listed.text


async def test_another_tenant_changes_nothing_of_it(server: Server, tmp_path: Path) -> None:
    local, theirs = write(tmp_path / "local", b"a secret"), write(tmp_path / "theirs", b"not yours")
    back = tmp_path / "back"
    done = await openssh(server.port, f"put {local} file", user="alice")
    assert done.status == 0, done.text
    for attempt in (
        "rm ../acme/file",
        f"put {theirs} ../acme/file",
        "rename ../acme/file stolen",
        f"put {theirs} file",
        "rm file",
    ):
        await openssh(server.port, attempt, user="bob")
    done = await openssh(server.port, f"get file {back}", user="alice")
    assert (done.status, back.read_bytes()) == (0, b"a secret"), done.text


async def test_who_belongs_to_no_tenant_is_refused_with_the_reason(server: Server, tmp_path: Path) -> None:
    local = write(tmp_path / "local", b"mine")
    for attempt in ("ls -l /", "mkdir d", f"put {local} file", "rename a b", "rm file", "rmdir d"):
        done = await openssh(server.port, attempt, user="eve")
        assert done.status != 0
        assert "Permission denied" in done.text or "not found" in done.text  # rm looks first, and says that
    async with await connect(server.port, user="eve") as connection, connection.start_sftp_client() as sftp:
        for attempt in (sftp.listdir("."), sftp.mkdir("d"), sftp.open("file", "wb"), sftp.stat("file")):
            with pytest.raises(asyncssh.SFTPPermissionDenied, match="this account belongs to no tenant"):
                await attempt


@pytest.mark.parametrize("name", ["..", "../acme", "acme/d", ".", "acme\0"])
async def test_a_tenant_of_a_name_that_leads_elsewhere_gets_nowhere(name: str, tmp_path: Path) -> None:
    users = StaticUsers({"alice": of_tenant("acme"), "mallory": of_tenant(name)})
    local, back = write(tmp_path / "local", b"a secret"), tmp_path / "back"
    async with server_of(Tenants(MemoryBackend()), auth=users) as running:
        done = await openssh(running.port, "mkdir d", f"put {local} d/file", user="alice")
        assert done.status == 0, done.text
        for attempt in ("ls -l /", "mkdir e", f"get file {back}", f"get d/file {back}", f"put {local} file"):
            done = await openssh(running.port, attempt, user="mallory")
            assert done.status != 0
            assert "acme" not in done.text
        assert not back.exists()
