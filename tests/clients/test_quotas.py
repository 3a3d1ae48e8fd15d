"""Real clients where a quota is: what fits is stored, what does not is refused, and df shows what is left."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from testbed.s3_store import Store
from tests.clients.conftest import running_on
from tests.support.client_workspace import ClientWorkspace
from tests.support.clients import Clients
from tests.support.commands import installed
from tests.support.s3_client import s3_client
from tests.support.server import Server

MIB = 1 << 20
TREE = {
    "server": {"workers": 2},
    "users.alice": {"prefix": None},
    'users.alice.mounts."/in"': {"prefix": "acme/in/"},
    'users.alice.mounts."/in".quota': {"bytes": "40 MiB", "files": 5},
    'users.alice.mounts."/out"': {"prefix": "acme/out/"},
    'users.alice.mounts."/out".quota': {"bytes": "10 MiB"},
    'users.alice.mounts."/free"': {"prefix": "free/"},
}


@pytest.fixture(scope="module")
def quota_server(seaweed: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_on(seaweed, tmp_path_factory, TREE) as server:
        yield server


@pytest.fixture
async def tree(quota_server: Server, tmp_path: Path) -> AsyncIterator[ClientWorkspace]:
    """A workspace whose `remote` is the root, with 12 MiB in `/in`. The server itself has removed what
    earlier tests have left, so that it need not count again."""
    local = tmp_path / "local"
    local.mkdir()
    async with s3_client(quota_server.store, quota_server.bucket) as s3:
        clients = Clients(quota_server, tmp_path / "home")
        workspace = ClientWorkspace(quota_server, local, s3, clients, remote="/")
        there = workspace.file("there", 12 * MIB)
        old = [f"-rm {name}/*" for name in ("/in", "/out", "/out/d")]
        (await clients.sftp(*old, f"put {there} /in/there")).ok()
        yield workspace


async def _df(tree: ClientWorkspace, name: str) -> list[int]:
    """The columns of OpenSSH's df, in KiB."""
    return [
        int(word) for word in (await tree.clients.sftp(f"df /{name}")).ok().text.splitlines()[-1].split()[:3]
    ]


async def _keys(tree: ClientWorkspace) -> set[str]:
    """The files that are stored."""
    return {key for key in await tree.s3.keys("") if not key.startswith(".s3sftp") and not key.endswith("/")}


async def test_openssh_shows_the_quota_by_df_and_is_refused_what_exceeds_it(tree: ClientWorkspace) -> None:
    assert await _df(tree, "in") == [40 << 10, 12 << 10, 28 << 10]
    files = (await tree.clients.sftp("df -i /in")).ok().text.splitlines()[-1].split()
    assert [int(word) for word in files[:3]] == [5, 1, 4]
    assert (await _df(tree, "free"))[0] == 1 << 50
    small, large = tree.file("small", 5 * MIB), tree.file("large", 30 * MIB)
    (await tree.clients.sftp(f"put {small} /in/small")).ok()
    refused = await tree.clients.sftp(f"put {large} /in/large")
    assert refused.status != 0
    assert "Failure" in refused.text
    assert await _keys(tree) == {"acme/in/there", "acme/in/small"}
    assert (await _df(tree, "in"))[1] == 17 << 10
    (line,) = [each for each in tree.server.events("upload.failed") if each["path"] == "/in/large"]
    assert line["rule"] == f"quota.bytes: {40 * MIB}"
    (await tree.clients.sftp("rm /in/there", f"put {large} /in/large")).ok()
    assert (await _df(tree, "in"))[1] == 35 << 10


async def test_bytes_move_between_the_quotas_of_mounts(tree: ClientWorkspace) -> None:
    file = tree.file("f", 4 * MIB)
    (await tree.clients.sftp(f"put {file} /in/f", "rename /in/f /out/f")).ok()
    assert (await _df(tree, "in"))[1] == 12 << 10
    assert (await _df(tree, "out"))[1] == 4 << 10
    refused = await tree.clients.sftp("rename /in/there /out/there")
    assert refused.status != 0
    (await tree.clients.sftp("rm /out/f", "mkdir /in/d", "rename /in/d /out/d")).ok()
    refused = await tree.clients.sftp("cp /in/there /out/copy")
    assert "close remote: Failure" in refused.text  # its exit status does not depend on that
    assert await _keys(tree) == {"acme/in/there"}
    assert (await _df(tree, "out"))[1] == 0


async def test_rclone_knows_the_quota_and_uploads_just_what_fits(tree: ClientWorkspace) -> None:
    program = installed("rclone")
    about = (await tree.clients.rclone("about", "alice:/in", "--json", program=program)).ok().text
    assert f'"total": {40 * MIB}' in about
    assert f'"used": {12 * MIB}' in about
    source = tree.local / "many"
    source.mkdir()
    for number in range(8):
        (source / f"f{number}").write_bytes(os.urandom(MIB))
    words = ("copy", str(source), "alice:/in", "--transfers=4", "--retries=1", "--low-level-retries=1")
    copied = await tree.clients.rclone(*words, program=program)
    assert copied.status != 0
    assert "quota exceeded: at most 5 files may be stored here" in copied.text
    assert len(await _keys(tree)) == 5
    assert (await _df(tree, "in"))[1] == 16 << 10


async def test_df_of_a_directory_mounted_by_sshfs_shows_the_quota(
    tree: ClientWorkspace, tmp_path: Path
) -> None:
    async with tree.clients.sshfs("/in", tmp_path / "mount") as mounted:
        usage = await asyncio.to_thread(shutil.disk_usage, mounted)
        assert usage == (40 * MIB, 12 * MIB, 28 * MIB)

        def copy() -> None:
            with suppress(OSError):  # sshfs reports an error only if it comes before the last CLOSE
                shutil.copyfile(tree.file("large", 45 * MIB), mounted / "large")

        await asyncio.to_thread(copy)
    assert await _keys(tree) == {"acme/in/there"}
