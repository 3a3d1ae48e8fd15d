"""Two replicas behind haproxy, a connection to each in turn, and a back office in the same bucket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from testbed.haproxy import Haproxy, Proxied
from testbed.s3_store import Store
from tests.support.client_workspace import ClientWorkspace, content
from tests.support.clients import Clients
from tests.support.commands import installed
from tests.support.restic import restic
from tests.support.s3_client import S3
from tests.support.server import USER, Server

TREE = {"a": 0, "b": 1, "sub/c d": 100_000, "sub/deep/d": 6_000_000, "sub.x/ü": 5}


@pytest.fixture
async def replicas(store: Store, bucket: str, tmp_path: Path) -> AsyncIterator[list[Server]]:
    """Two servers with one host key and one user. Clients of the first are sent to haproxy's port."""
    installed("haproxy")
    one = Server(tmp_path / "one", store, bucket)
    public = asyncssh.read_private_key(one.key_file).export_public_key().decode().strip()
    same = {
        "ssh": {"host_keys": [str(tmp_path / "one/host_ed25519")]},
        f"users.{USER}": {"authorized_keys": [public]},
    }
    other = Server(tmp_path / "other", store, bucket, same)
    running: list[Server | Haproxy] = [one, other]
    try:
        await asyncio.gather(one.astart(), other.astart())
        lines = ("balance roundrobin", f"server two 127.0.0.1:{other.port}")
        haproxy = Haproxy(tmp_path / "haproxy", [Proxied("sftp", f"127.0.0.1:{one.port}", lines=lines)])
        running.append(haproxy)
        await asyncio.to_thread(haproxy.start)
        port = haproxy.ports["sftp"]
        one.known_hosts.write_text(one.known_hosts.read_text().replace(f":{one.port} ", f":{port} "))
        one.port = port
        yield [one, other]
    finally:
        for each in running:
            await asyncio.to_thread(each.close)


@pytest.fixture
async def desk(replicas: list[Server], s3: S3, tmp_path: Path) -> AsyncIterator[ClientWorkspace]:
    local = tmp_path / "local"
    local.mkdir()
    one, other = replicas
    yield ClientWorkspace(one, local, s3, Clients(one, tmp_path / "home"))
    assert one.count("login.accepted"), "haproxy sent nobody to the first replica"
    assert other.count("login.accepted"), "haproxy sent nobody to the second replica"


@asynccontextmanager
async def meanwhile(work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Do something again and again, whole each time, beside what the block does."""
    is_over = False

    async def again() -> None:
        while not is_over:
            await work()

    async with asyncio.TaskGroup() as group:
        group.create_task(again())
        try:
            yield
        finally:
            is_over = True


def write_tree(desk: ClientWorkspace, name: str, seed: int = 0) -> None:
    for number, (each, size) in enumerate(TREE.items(), seed):
        desk.file(f"{name}/{each}", size, number)


async def test_rclone_copies_syncs_and_checks(desk: ClientWorkspace) -> None:
    rclone = installed("rclone")
    write_tree(desk, "tree")
    here, there, back = f"{desk.local}/tree", f"alice:{desk.remote}/tree", f"{desk.local}/back"

    async def run(*words: str) -> str:
        return (await desk.clients.rclone(*words, program=rclone, timeout=120)).ok().text

    await run("copy", here, there)
    await run("check", "--download", here, there)
    assert "Copied" not in await run("copy", "-v", here, there), "an unchanged tree was sent again"

    # the back office replaces one, adds one, removes one; the partner's sync sets it right
    await desk.put("tree/b", b"changed by the back office")
    await desk.put("tree/sub/new", b"new")
    await desk.s3.delete(f"{desk.key_prefix}tree/sub.x/ü")
    await run("copy", there, back)
    assert (desk.local / "back/b").read_bytes() == b"changed by the back office"
    assert (desk.local / "back/sub/new").read_bytes() == b"new"
    await run("sync", here, there)
    await run("check", "--download", here, there)
    assert [key for key in await desk.keys() if "partial" in key or key == "tree/sub/new"] == []


async def test_rclone_fetches_each_file_of_the_back_office_once_and_whole(desk: ClientWorkspace) -> None:
    rclone = installed("rclone")
    written = 0

    async def write() -> None:
        nonlocal written
        await desk.put(f"inbox/{written}", content(10_000, written))
        written += 1
        await asyncio.sleep(0.01)

    words = ("move", f"alice:{desk.remote}/inbox", f"{desk.local}/inbox")
    await desk.put("inbox/0", content(10_000, 0))
    async with meanwhile(write):
        for _ in range(3):
            (await desk.clients.rclone(*words, program=rclone)).ok()
    (await desk.clients.rclone(*words, program=rclone)).ok()
    fetched = {file.name: file.read_bytes() for file in (desk.local / "inbox").iterdir()}
    assert fetched == {str(number): content(10_000, number) for number in range(written)}
    assert await desk.keys() == []


async def test_files_that_are_replaced_all_the_time_are_fetched_whole(desk: ClientWorkspace) -> None:
    rclone = installed("rclone")
    versions = [bytes([letter]) * 50_000 for letter in b"abcdefgh"]
    turn = 0

    async def replace() -> None:
        nonlocal turn
        turn += 1
        await desk.put(f"prices/{turn % 3}", versions[turn % len(versions)])

    for number in range(3):
        await desk.put(f"prices/{number}", versions[0])
    async with meanwhile(replace):
        for number in range(3):
            # of one size, so rclone itself does not notice that they were replaced
            words = ("copy", "--ignore-times", f"alice:{desk.remote}/prices", f"{desk.local}/{number}")
            (await desk.clients.rclone(*words, program=rclone)).ok()
    fetched = [file.read_bytes() for number in range(3) for file in (desk.local / str(number)).iterdir()]
    assert len(fetched) == 9
    assert all(body in versions for body in fetched), "a file of two versions"


async def test_restic_backs_up_and_restores(desk: ClientWorkspace) -> None:
    write_tree(desk, "tree")
    (await restic(desk, "init")).ok()
    (await restic(desk, "backup", f"{desk.local}/tree")).ok()
    write_tree(desk, "tree/later", seed=10)
    (await restic(desk, "backup", f"{desk.local}/tree")).ok()
    (await restic(desk, "forget", "--prune", "--keep-last", "1", "--group-by", "host")).ok()
    (await restic(desk, "check", "--read-data")).ok()
    (await restic(desk, "restore", "latest", "--target", f"{desk.local}/back")).ok()
    back = desk.local / f"back/{desk.local}/tree"
    for number, (name, size) in enumerate(TREE.items()):
        assert (back / name).read_bytes() == content(size, number)
        assert (back / "later" / name).read_bytes() == content(size, number + 10)


async def test_lftp_mirrors_both_ways(desk: ClientWorkspace) -> None:
    write_tree(desk, "tree")
    up = f"mirror -R --verbose --parallel=4 {desk.local}/tree {desk.remote}/tree"
    (await desk.clients.lftp(up)).ok()
    again = (await desk.clients.lftp(up)).ok()
    assert "Transferring" not in again.text, again.text
    await desk.put("tree/sub/new", b"new")
    (await desk.clients.lftp(f"mirror --parallel=4 {desk.remote}/tree {desk.local}/back")).ok()
    for number, (name, size) in enumerate(TREE.items()):
        assert (desk.local / "back" / name).read_bytes() == content(size, number)
    assert (desk.local / "back/sub/new").read_bytes() == b"new"
