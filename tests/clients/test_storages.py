"""Mounts in several storages are one tree to every client: two buckets of one store, and one of another."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed.s3_store import Store, new_bucket_name
from tests.support.client_workspace import content
from tests.support.clients import Clients
from tests.support.commands import installed, run
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Hold
from tests.support.s3_client import S3, s3_client
from tests.support.server import Server

MOUNTS = {"/work": "", "/archive": "archive", "/partner": "partner"}
"""`partner` is another store, with other credentials; the others are buckets of one."""
PREFIX = "acme/"
LARGE = 12_000_000


@dataclass
class Buckets:
    """What is in each storage, and the clients of the server that serves them as one tree."""

    server: Server
    clients: Clients
    local: Path
    by_mount: dict[str, S3]

    async def put(self, path: str, data: bytes) -> None:
        s3, key = self._at(path)
        await s3.put(key, data)

    async def body(self, path: str) -> bytes:
        s3, key = self._at(path)
        return await s3.body(key)

    async def keys(self, mount: str) -> list[str]:
        return [key.removeprefix(PREFIX) for key in await self.by_mount[mount].keys(PREFIX)]

    def file(self, name: str, data: bytes) -> Path:
        file = self.local / name
        file.write_bytes(data)
        return file

    def _at(self, path: str) -> tuple[S3, str]:
        mount = next(mount for mount in MOUNTS if path.startswith(f"{mount}/"))
        return self.by_mount[mount], PREFIX + path.removeprefix(f"{mount}/")


def of_store(store: Store, bucket: str) -> dict[str, object]:
    return {
        "bucket": bucket,
        "endpoint_url": store.endpoint_url,
        "region": store.region,
        "addressing": "path",
        "access_key_id": store.access_key,
        "secret_access_key": store.secret_key,
        "part_bytes": 5 << 20,
        **store.options,
    }


@pytest.fixture(scope="module")
def stores(seaweed: Store, moto: Store) -> Iterator[dict[str, tuple[Store, str]]]:
    """A bucket for each mount."""
    chosen = {"/work": seaweed, "/archive": seaweed, "/partner": moto}
    found = {mount: (store, new_bucket_name()) for mount, store in chosen.items()}
    for store, bucket in found.values():
        store.make_bucket(bucket)
    yield found
    for store, bucket in found.values():
        store.drop_bucket(bucket)


def options_of(stores: dict[str, tuple[Store, str]]) -> dict[str, dict[str, object]]:
    """A server whose user has the mounts."""
    options: dict[str, dict[str, object]] = {"users.alice": {"prefix": None}}
    for mount, storage in MOUNTS.items():
        options[f'users.alice.mounts."{mount}"'] = {"prefix": PREFIX, "storage": storage}
        if storage:
            options[f"storages.{storage}"] = of_store(*stores[mount])
    options['users.alice.mounts."/archive/old"'] = {
        "prefix": "old/",
        "storage": "archive",
        "rights": "read-only",
    }
    return options


@pytest.fixture(scope="module")
def server(
    stores: dict[str, tuple[Store, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"), *stores["/work"], options_of(stores))
    try:
        yield server.start()
        assert "Traceback" not in server.output()
    finally:
        server.close()


@pytest.fixture
async def buckets(
    server: Server, stores: dict[str, tuple[Store, str]], tmp_path: Path
) -> AsyncIterator[Buckets]:
    (tmp_path / "local").mkdir()
    async with AsyncExitStack() as opened:
        found = {mount: await opened.enter_async_context(s3_client(*at)) for mount, at in stores.items()}
        yield Buckets(server, Clients(server, tmp_path / "home"), tmp_path / "local", found)
        for store, bucket in stores.values():
            for line in store.blocking_client.list_objects_v2(Bucket=bucket).get("Contents", []):
                store.blocking_client.delete_object(Bucket=bucket, Key=line["Key"])


async def test_the_root_lists_the_mounts_and_each_leads_to_its_storage(buckets: Buckets) -> None:
    for mount in MOUNTS:
        await buckets.put(f"{mount}/same name", mount.encode())
    listed = (await buckets.clients.sftp("ls -1 /", "pwd", "cd /partner", "pwd", "ls -l")).ok().text
    assert [f"{mount}" in listed for mount in MOUNTS] == [True] * 3
    assert "Remote working directory: /partner" in listed
    lines = [f'get "{mount}/same name" {buckets.local}/{at}' for at, mount in enumerate(MOUNTS)]
    (await buckets.clients.sftp(*lines)).ok()
    assert [(buckets.local / str(at)).read_bytes() for at in range(3)] == [m.encode() for m in MOUNTS]


async def test_equal_names_are_stored_changed_and_removed_apart(buckets: Buckets) -> None:
    for at, mount in enumerate(MOUNTS):
        file = buckets.file("f", content(LARGE if at else 1000, at))
        (await buckets.clients.sftp(f"put {file} {mount}/f", f"mkdir {mount}/d", f"ls {mount}")).ok()
    for at, mount in enumerate(MOUNTS):
        assert await buckets.body(f"{mount}/f") == content(LARGE if at else 1000, at)
    (await buckets.clients.sftp("rm /work/f", "rmdir /archive/d", "rename /partner/f /partner/g")).ok()
    assert [await buckets.keys(mount) for mount in MOUNTS] == [["d/"], ["f"], ["d/", "g"]]
    answer = await buckets.clients.sftp("ls -l /archive/f", "ls -l /partner/g", "df /partner")
    assert answer.ok().text.count(str(LARGE)) == 2


@pytest.mark.parametrize("target", ["/archive/d", "/partner/d"])
async def test_a_directory_is_not_moved_to_another_storage_and_stays(buckets: Buckets, target: str) -> None:
    await buckets.put("/work/d/f", b"data")
    for command in (f"rename /work/d {target}", f"rename -l /work/d {target}"):
        assert "Failure" in (await buckets.clients.sftp(command)).failed().text
    assert await buckets.body("/work/d/f") == b"data"
    assert await buckets.keys(target.rpartition("/")[0]) == []
    refused = buckets.server.events("request.refused")[-2:]
    assert [(line["request"], line["target"]) for line in refused] == [
        ("posix-rename", target),
        ("RENAME", target),
    ]


@pytest.mark.parametrize("target", ["/archive", "/partner"])
@pytest.mark.parametrize("size", [0, 1000, LARGE])
async def test_openssh_moves_files_between_storages_and_back(
    buckets: Buckets, target: str, size: int
) -> None:
    data = content(size)
    file = buckets.file("f", data)
    os.utime(file, (1_600_000_000, 1_600_000_000))
    (await buckets.clients.sftp(f"put -p {file} /work/f", f"rename /work/f {target}/g")).ok()
    assert await buckets.keys("/work") == []
    assert await buckets.body(f"{target}/g") == data
    (await buckets.clients.sftp(f"rename -l {target}/g /work/h", f"get -p /work/h {file}.back")).ok()
    assert await buckets.keys(target) == []
    back = Path(f"{file}.back")
    assert (back.read_bytes(), int(back.stat().st_mtime)) == (data, 1_600_000_000)


@pytest.mark.parametrize("target", ["/archive", "/partner"])
async def test_openssh_copies_files_between_storages_on_the_server(buckets: Buckets, target: str) -> None:
    await buckets.put("/work/f", content(LARGE))
    (await buckets.clients.sftp(f"cp /work/f {target}/g")).ok()
    assert await buckets.body(f"{target}/g") == await buckets.body("/work/f") == content(LARGE)


async def test_what_the_server_copies_between_storages_does_not_count_for_the_rates_of_the_user(
    buckets: Buckets, stores: dict[str, tuple[Store, str]], tmp_path: Path
) -> None:
    """At the rates it would take 25 minutes."""
    rates = {"upload_bytes_per_second": "16 KiB", "download_bytes_per_second": "16 KiB"}
    options = {**options_of(stores), "users.alice.limits": rates}
    server = Server(tmp_path / "limited", *stores["/work"], options)
    try:
        clients = Clients(server.start(), tmp_path / "limited-home")
        data = content(LARGE)
        await buckets.put("/work/f", data)
        (await clients.sftp("cp /work/f /partner/copied", "rename /work/f /partner/moved")).ok()
        for name in ("copied", "moved"):
            assert await buckets.body(f"/partner/{name}") == data
        assert not server.count("limit.reached")
        (await clients.sftp(f"put {buckets.file('sent', bytes(40_000))} /work/sent")).ok()
        assert [each["limit"] for each in server.events("limit.reached")] == ["upload"]
    finally:
        server.close()


async def test_a_right_that_is_missing_refuses_a_move_before_anything_is_copied(buckets: Buckets) -> None:
    s3 = buckets.by_mount["/archive"]
    await s3.put("old/f", b"read-only")
    await buckets.put("/work/f", b"data")
    for command in ("rename /archive/old/f /work/g", "rename /work/f /archive/old/g"):
        assert "Permission denied" in (await buckets.clients.sftp(command)).failed().text
    assert await s3.keys("old/") == ["old/f"]
    assert await buckets.keys("/work") == ["f"]


async def test_a_name_that_is_taken_in_the_other_storage_stays_unless_it_is_to_be_replaced(
    buckets: Buckets,
) -> None:
    await buckets.put("/work/f", b"new")
    for target in ("/archive/f", "/partner/f"):
        await buckets.put(target, b"old")
        assert "Failure" in (await buckets.clients.sftp(f"rename -l /work/f {target}")).failed().text
        assert await buckets.body(target) == b"old"
    (await buckets.clients.sftp("rename /work/f /partner/f")).ok()
    assert await buckets.body("/partner/f") == b"new"
    assert await buckets.keys("/work") == []


@pytest.mark.parametrize("target", ["/archive", "/partner"])
async def test_lftp_moves_files_and_mirrors_over_all_mounts(buckets: Buckets, target: str) -> None:
    await buckets.put("/work/f", content(LARGE))
    (await buckets.clients.lftp(f"mv /work/f {target}/f")).ok()
    assert await buckets.body(f"{target}/f") == content(LARGE)
    assert await buckets.keys("/work") == []
    await buckets.put("/work/d/x", b"x")
    (await buckets.clients.lftp(f"mv /work/d {target}/d")).failed()
    assert await buckets.body("/work/d/x") == b"x"
    (await buckets.clients.lftp(f"mirror --exclude old / {buckets.local}/all")).ok()
    assert (buckets.local / "all" / target[1:] / "f").read_bytes() == content(LARGE)
    assert (buckets.local / "all/work/d/x").read_bytes() == b"x"


@pytest.mark.parametrize("target", ["/archive", "/partner"])
async def test_rclone_moves_files_and_directories_whose_target_is_there(
    buckets: Buckets, target: str
) -> None:
    rclone = installed("rclone")
    clients = buckets.clients
    await buckets.put("/work/f", content(LARGE))
    (await clients.rclone("moveto", "alice:/work/f", f"alice:{target}/f", program=rclone)).ok()
    assert await buckets.body(f"{target}/f") == content(LARGE)
    assert await buckets.keys("/work") == []
    for at in range(3):
        await buckets.put(f"/work/d/sub/{at}", content(1000, at))
    # rclone asks for a rename of the whole directory, and does not copy instead when that is refused
    (await clients.rclone("move", "alice:/work/d", f"alice:{target}/d", program=rclone)).failed()
    assert len([key for key in await buckets.keys("/work") if not key.endswith("/")]) == 3
    # where the target is there, it moves one file after the other
    (await clients.rclone("mkdir", f"alice:{target}/d", program=rclone)).ok()
    (await clients.rclone("move", "alice:/work/d", f"alice:{target}/d", program=rclone)).ok()
    for at in range(3):
        assert await buckets.body(f"{target}/d/sub/{at}") == content(1000, at)
    assert [key for key in await buckets.keys("/work") if not key.endswith("/")] == []


@pytest.mark.parametrize("target", ["archive", "partner"])
async def test_sshfs_moves_files_and_mv_copies_directories_with_renamexdev(
    buckets: Buckets, tmp_path: Path, target: str
) -> None:
    await buckets.put("/work/f", content(LARGE))
    for at in range(2):
        await buckets.put(f"/work/tree/{at}", content(1000, at))
    async with buckets.clients.sshfs(
        "/", tmp_path / "mnt", "-o", "workaround=renamexdev,dir_cache=no"
    ) as there:
        assert (await run(["mv", f"{there}/work/f", f"{there}/{target}/f"])).status == 0
        (await run(["mv", f"{there}/work/tree", f"{there}/{target}/tree"])).ok()
    assert await buckets.body(f"/{target}/f") == content(LARGE)
    for at in range(2):
        assert await buckets.body(f"/{target}/tree/{at}") == content(1000, at)
    assert [key for key in await buckets.keys("/work") if not key.endswith("/")] == []


@pytest.mark.parametrize(("api", "there"), [("UploadPart", []), ("DeleteObject", ["f"])])
async def test_a_server_that_is_killed_during_a_move_leaves_the_file_at_the_source(
    seaweed: Store, moto: Store, tmp_path: Path, api: str, there: list[str]
) -> None:
    """While the copy is sent nothing is at the target; before the removal the file is whole at both."""
    with seaweed.space() as one, moto.space() as two:
        async with FaultProxy(seaweed.endpoint_url) as near, FaultProxy(moto.endpoint_url) as far:
            held = (far if api == "UploadPart" else near).on(api, do=Hold())
            options: dict[str, dict[str, object]] = {
                "users.alice": {"prefix": None},
                'users.alice.mounts."/work"': {"prefix": PREFIX},
                'users.alice.mounts."/partner"': {"prefix": PREFIX, "storage": "partner"},
                "storages.partner": of_store(moto.behind(far.url), two.bucket),
            }
            server = Server(tmp_path / "server", seaweed.behind(near.url), one.bucket, options)
            async with s3_client(seaweed, one.bucket) as here, s3_client(moto, two.bucket) as other:
                await here.put(f"{PREFIX}f", content(LARGE))
                try:
                    await server.astart()
                    clients = Clients(server, tmp_path / "home")
                    async with await clients.start_sftp("rename /work/f /partner/f") as moving:
                        await held.reached()
                        server.kill()
                        (await moving.result()).failed()
                finally:
                    server.close()
                assert await here.body(f"{PREFIX}f") == content(LARGE)
                found = [key.removeprefix(PREFIX) for key in await other.keys(PREFIX)]
                assert found == there
                assert [await other.body(PREFIX + name) == content(LARGE) for name in found] == [True] * len(
                    there
                )
