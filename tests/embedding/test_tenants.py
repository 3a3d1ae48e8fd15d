"""examples/tenants.py: two tenants never see each other, whatever they try."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from examples.tenants import Tenants
from s3sftp import Server, StaticUser, StaticUsers
from s3sftp.backends import Backend, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.testing import BackendPromises
from tests.embedding.guests import PASSWORD, openssh, server_of, write


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


async def test_who_belongs_to_no_tenant_is_refused(server: Server, tmp_path: Path) -> None:
    local = write(tmp_path / "local", b"mine")
    done = await openssh(server.port, f"put {local} file", user="eve")
    assert done.status != 0
    assert "Permission denied" in done.text
