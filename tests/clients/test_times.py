"""One file has one time, as real clients see it: two workers, restarts, replicas, and others that write."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncssh
import pytest

from testbed.s3_store import Store
from tests.support.client_workspace import ClientWorkspace
from tests.support.clients import Clients
from tests.support.commands import installed
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer
from tests.support.s3_client import S3
from tests.support.server import PART_BYTES, Groups, Server
from tests.workers.worker_server import WorkerServer, worker_server

BOTH = pytest.mark.parametrize("store", ["seaweed", "moto"], indirect=True)
MOTO = pytest.mark.parametrize("store", ["moto"], indirect=True)
"""It gives a multipart object that is copied onto itself another ETag, as AWS does."""
Y2020 = 1577836800


@pytest.fixture
async def served(store: Store, bucket: str, tmp_path: Path) -> AsyncIterator[WorkerServer]:
    """Two workers on the store of the test, the second the one that has the next connection."""
    async with worker_server(tmp_path, store, bucket, {"s3": {"cache_ttl": "0.5 s"}}) as running:
        yield running


async def sftps(workers: WorkerServer, stack: AsyncExitStack) -> list[asyncssh.SFTPClient]:
    """A session in each worker."""
    clients = [await stack.enter_async_context(workers.client()) for _ in range(2)]
    assert {await client.worker() for client in clients} == {1, 2}
    return [await client.sftp() for client in clients]


async def times(sftp: asyncssh.SFTPClient, directory: str, asked: str) -> dict[str, set[tuple[int, str]]]:
    """What is said of each file, in one order: seconds and the day that the long name shows."""
    said: dict[str, set[tuple[int, str]]] = {}
    for way in asked:
        names = [name for name in await sftp.readdir(directory) if not str(name.filename).startswith(".")]
        for name in names:
            path = f"{directory}/{name.filename}"
            if way == "l":
                shown = [(name.attrs.mtime, str(name.longname)[42:].split(f" {name.filename}")[0][-12:])]
            elif way == "s":
                shown = [((await sftp.stat(path)).mtime, "")]
            else:
                async with sftp.open(path, "rb") as file:
                    shown = [((await file.stat()).mtime, "")]
            said.setdefault(str(name.filename), set()).update((mtime or 0, day) for mtime, day in shown)
    return said


@BOTH
async def test_listings_stat_fstat_and_long_names_say_one_time_in_every_worker(
    served: WorkerServer, s3: S3
) -> None:
    async with AsyncExitStack() as stack:
        one, other = await sftps(served, stack)
        await one.mkdir("d")
        async with one.open("d/late", "wb") as file:
            await file.write(b"x")
        await one.utime("d/late", (Y2020, Y2020))
        async with one.open("d/late-elsewhere", "wb") as file:
            await file.write(b"x")
        await other.utime("d/late-elsewhere", (Y2020, Y2020))
        async with one.open("d/plain", "wb") as file:
            await file.write(b"x")
        await s3.put("alice/d/rclone", b"x", Metadata={"mtime": f"{Y2020}.5"})
        await s3.put("alice/d/others", b"x")
        await asyncio.sleep(0.6)  # so long the session may be told what it has itself changed
        at_once = [await times(sftp, "d", "sl") for sftp in (one, other)]
        await asyncio.sleep(2.5)
        later = [await times(sftp, "d", way) for way in ("ls", "fl") for sftp in (other, one)]
    for name in ("late", "late-elsewhere", "rclone", "plain", "others"):
        said = {seconds for each in (*at_once, *later) for seconds, _ in each[name]}
        assert len(said) == 1, (name, said)
        assert (Y2020 in said) == (name not in ("plain", "others"))
        days = {day for each in (*at_once, *later) for _, day in each[name] if day}
        assert days == {time.strftime("%b %d  %Y" if Y2020 in said else "%b %d %H:%M", time.gmtime(*said))}, (
            name
        )


async def _poll(sftp: asyncssh.SFTPClient, directory: str) -> dict[str, int]:
    """What a poller takes for a file: its name and its time."""
    names = await sftp.readdir(directory)
    return {str(name.filename): name.attrs.mtime or 0 for name in names if name.filename not in (".", "..")}


def _rclone_s3(store: Store, bucket: str, path: str) -> str:
    options = {
        "provider": "Other",
        "access_key_id": store.access_key,
        "secret_access_key": store.secret_key,
        "region": store.region,
        "endpoint": store.endpoint_url,
    }
    return ":s3," + ",".join(f"{name}='{value}'" for name, value in options.items()) + f":{bucket}/{path}"


@BOTH
async def test_a_tree_that_has_not_changed_is_sent_once_whoever_wrote_it(
    served: WorkerServer, s3: S3, store: Store, bucket: str, tmp_path: Path
) -> None:
    server, local = served.server, tmp_path / "local"
    clients, rclone = Clients(server, tmp_path / "home"), installed("rclone")
    for way in ("rclone", "put", "direct"):
        for number, (name, size) in enumerate({"a": 10, "sub/b": 1000, "large": PART_BYTES + 1}.items()):
            file = local / way / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(os.urandom(size))
            os.utime(file, (Y2020 + number, Y2020 + number + 0.25))
    for name in ("a", "sub/b"):
        await s3.put(f"alice/plain/{name}", os.urandom(100))
    (await clients.rclone("copy", f"{local}/rclone", "alice:rclone", program=rclone)).ok()
    (await clients.sftp(f"put -rp {local}/put /put")).ok()
    (
        await clients.rclone(
            "copy", f"{local}/direct", _rclone_s3(store, bucket, "alice/direct"), program=rclone
        )
    ).ok()

    async def nothing_is_sent() -> list[dict[str, int]]:
        for way in ("rclone", "put", "direct"):
            for source, target in ((f"{local}/{way}", f"alice:{way}"), (f"alice:{way}", f"{local}/{way}")):
                done = (await clients.rclone("copy", "-v", source, target, program=rclone)).ok()
                assert "Copied" not in done.text, (way, done.text)
        done = (await clients.rclone("copy", "-v", "alice:plain", f"{local}/plain", program=rclone)).ok()
        assert ("Copied" in done.text) == (not copied), done.text
        copied.append(True)
        async with AsyncExitStack() as stack:
            return [
                await _poll(sftp, way)
                for way in sorted(os.listdir(local))
                for sftp in await sftps(served, stack)
            ]

    copied: list[bool] = []
    seen = await nothing_is_sent()
    await asyncio.sleep(2.5)
    assert await nothing_is_sent() == seen
    await server.restart()
    assert await nothing_is_sent() == seen


@MOTO
@pytest.mark.parametrize("where", ["another worker", "another replica"])
async def test_a_download_survives_late_times_and_permissions(
    store: Store, bucket: str, s3: S3, tmp_path: Path, where: str
) -> None:
    options: Groups = {"s3": {"permissions": "keep", "cache_ttl": "0.5 s"}}
    data = os.urandom(4 * PART_BYTES)
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(worker_server(tmp_path / "one", store, bucket, options))
        reader, toucher = await sftps(running, stack)
        if where == "another replica":
            replica = await stack.enter_async_context(
                worker_server(tmp_path / "other", store, bucket, options)
            )
            toucher = (await sftps(replica, stack))[0]
        async with reader.open("f", "wb") as file:
            await file.write(data)
        first = (await s3.head("alice/f"))["ETag"]
        async with reader.open("f", "rb") as file:
            assert await file.read(100) == data[:100]
            for number, start in enumerate(range(6, 20, 6)):
                await toucher.utime("f", (Y2020 + number, Y2020 + number))
                await toucher.chmod("f", 0o600 + number)
                assert await file.read(1000, start << 20) == data[start << 20 :][:1000]
            assert await file.read(-1, 0) == data
        assert (await s3.head("alice/f"))["ETag"] != first
        for sftp in (reader, toucher):
            assert (await sftp.stat("f")).mtime == Y2020 + 2


async def test_a_store_that_refuses_to_copy_keeps_no_upload_from_succeeding(
    store: Store, bucket: str, s3: S3, tmp_path: Path
) -> None:
    """As archive classes do; rclone sets each file's time when it is stored."""
    async with FaultProxy(store.endpoint_url) as proxy:
        refused = proxy.on("CopyObject", do=Answer(403, "InvalidObjectState"))
        server = await Server(tmp_path / "server", store.behind(proxy.url), bucket).astart()
        try:
            clients = Clients(server, tmp_path / "home")
            for name, size in (("small", 10), ("large", PART_BYTES + 1)):
                file = tmp_path / name
                file.write_bytes(os.urandom(size))
                os.utime(file, (Y2020, Y2020))
                words = ("copyto", "--inplace", str(file), f"alice:{name}")
                (await clients.rclone(*words, program=installed("rclone"))).ok()
                assert await s3.body(f"alice/{name}") == file.read_bytes()
            assert server.count("s3.mtime_not_set") == refused.hits == 2
        finally:
            await asyncio.to_thread(server.close)


async def test_absurd_times_in_metadata_fail_no_listing(desk: ClientWorkspace) -> None:
    absurd = ["9" * 400, "-" + "9" * 30, "nan", "1e999", "99999999999999999999", "yesterday", "1700000000000"]
    for number, text in enumerate(absurd):
        await desk.s3.put(f"{desk.key_prefix}f{number}", b"x", Metadata={"mtime": text})
    listing = (await desk.clients.sftp(f"ls -l {desk.remote}", f"ls -l {desk.remote}/f0")).ok().text
    assert listing.count("f") >= len(absurd)
    assert "Nov 14  2023" in listing
