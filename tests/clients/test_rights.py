"""Real clients in a tree of mounts with rights: drop-boxes, a pick-up, an archive and a single file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from testbed.s3_store import Store
from tests.clients.conftest import running_on
from tests.support.client_workspace import ClientWorkspace, content
from tests.support.clients import Clients
from tests.support.commands import installed
from tests.support.s3_client import S3, s3_client
from tests.support.server import Server

TREE = {
    "users.alice": {"prefix": None, "rights": "read-only", "directories": ["archive/2026"]},
    'users.alice.mounts."/inbox"': {"prefix": "acme/in/", "rights": "drop-box", "max_file_bytes": 20_000_000},
    'users.alice.mounts."/keep"': {"prefix": "acme/keep/", "rights": "drop-box", "on_conflict": "keep-both"},
    'users.alice.mounts."/outbox"': {"prefix": "acme/out/", "rights": "pick-up"},
    'users.alice.mounts."/archive"': {
        "prefix": "archive/{user}/", "rights": "read-write", "hide": [".*"], "deny": ["*.exe"]
    },
    'users.alice.mounts."/shared/rates.csv"': {"prefix": "rates/today.csv", "file": True},
}  # fmt: skip
BIG = 12 << 20
"""More than one part."""


@pytest.fixture(scope="module")
def tree_server(seaweed: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_on(seaweed, tmp_path_factory, TREE) as server:
        yield server


@pytest.fixture
async def tree(tree_server: Server, tmp_path: Path) -> AsyncIterator[ClientWorkspace]:
    """A workspace whose `remote` is the root; what earlier tests have left is removed."""
    local = tmp_path / "local"
    local.mkdir()
    async with s3_client(tree_server.store, tree_server.bucket) as s3:
        for key in await s3.keys(""):
            await s3.delete(key)
        await s3.put("rates/today.csv", b"1.5")
        await s3.put("acme/out/report.csv", b"yours")
        await s3.put("acme/in/others.csv", b"not yours")
        clients = Clients(tree_server, tmp_path / "home")
        yield ClientWorkspace(tree_server, local, s3, clients, remote="/")


async def keys(s3: S3) -> set[str]:
    return {key for key in await s3.keys("") if not key.startswith(".s3sftp")}


async def test_openssh_sees_one_tree_and_uses_each_part_as_it_may(tree: ClientWorkspace) -> None:
    file = tree.file("new.csv", BIG)
    listed = (await tree.clients.sftp("ls -la /", "ls -la /shared", "ls /archive")).ok().text
    for name in ("inbox", "keep", "outbox", "archive", "shared", "rates.csv", "2026"):
        assert name in listed
    (
        await tree.clients.sftp(
            "cd /inbox",
            f"put -p {file}",
            f"get /shared/rates.csv {tree.local}/rates.csv",
            f"get -p /outbox/report.csv {tree.local}/report.csv",
            "rm /outbox/report.csv",
            f"put {file} /archive/2026/a.csv",
            "rename /archive/2026/a.csv /archive/b.csv",
            "mkdir /archive/new",
            "rmdir /archive/new",
        )
    ).ok()
    assert (tree.local / "rates.csv").read_bytes() == b"1.5"
    assert (tree.local / "report.csv").read_bytes() == b"yours"
    assert await keys(tree.s3) == {
        "acme/in/new.csv", "acme/in/others.csv", "archive/alice/b.csv", "rates/today.csv"
    }  # fmt: skip
    assert await tree.s3.body("acme/in/new.csv") == content(BIG)


REFUSED = {
    "ls /inbox": "missing right: list",
    "get /inbox/others.csv": None,
    "rm /inbox/others.csv": "missing right: delete",
    "rename /inbox/others.csv /archive/x": "missing right: rename",
    "put FILE /inbox/others.csv": "missing right: overwrite",
    "put FILE /outbox/x": "missing right: write",
    "put FILE /shared/rates.csv": "missing right: write",
    "put FILE /x": "no mount there",
    "rmdir /archive/2026": "fixed by configuration",
    "mkdir /inbox/d": "missing right: mkdir",
    "put FILE /archive/x.EXE": "deny: *.exe",
    "put FILE /archive/.x": "hide: .*",
    "rename /outbox/report.csv /archive/x": "missing right: rename",
    "chmod 600 /outbox/report.csv": "missing right: setstat",
}
"""What OpenSSH is refused, and the rule that the log names; None: it asks for nothing that is refused."""


async def test_each_refusal_leaves_everything_as_it_is_and_is_a_line_with_its_rule(
    tree: ClientWorkspace,
) -> None:
    file = tree.file("f", 100)
    before = {key: await tree.s3.body(key) for key in await keys(tree.s3)}
    for command, rule in REFUSED.items():
        known = len(tree.server.events("request.refused"))
        result = await tree.clients.sftp(command.replace("FILE", str(file)))
        assert result.status != 0, command
        if rule is not None:
            await tree.server.until(lambda: len(tree.server.events("request.refused")) > known, command)  # noqa: B023
            line = tree.server.events("request.refused")[-1]
            assert (line.get("rule"), line["user"]) == (rule, "alice"), command
    assert {key: await tree.s3.body(key) for key in await keys(tree.s3)} == before


async def test_a_file_that_is_too_large_is_not_stored(tree: ClientWorkspace) -> None:
    file = tree.file("large", 21_000_000)
    result = await tree.clients.sftp(f"put {file} /inbox/large")
    assert result.status != 0
    assert await keys(tree.s3) == {"acme/in/others.csv", "acme/out/report.csv", "rates/today.csv"}
    assert await tree.uploads() == []


@pytest.mark.parametrize("size", [100, BIG])
async def test_rclone_uploads_to_a_drop_box_under_a_temporary_name_and_sets_the_time(
    tree: ClientWorkspace, size: int
) -> None:
    for number in range(2):
        file = tree.file(f"up/{number}", size, number)
        words = ("copyto", "--sftp-connections=1", str(file), f"alice:/inbox/{number}.csv")
        (await tree.clients.rclone(*words, program=installed("rclone"))).ok()
        assert await tree.s3.body(f"acme/in/{number}.csv") == content(size, number)
    assert await keys(tree.s3) == {
        "acme/in/0.csv", "acme/in/1.csv", "acme/in/others.csv", "acme/out/report.csv", "rates/today.csv"
    }  # fmt: skip


async def test_rclone_copies_a_directory_into_a_drop_box(tree: ClientWorkspace) -> None:
    for name in ("a", "b", "c"):
        tree.file(f"up/{name}.csv", 100)
    flags = ("--no-traverse", "--inplace", "--sftp-set-modtime=false")
    words = ("copy", *flags, f"{tree.local}/up", "alice:/inbox")
    (await tree.clients.rclone(*words, program=installed("rclone"))).ok()
    assert {"acme/in/a.csv", "acme/in/b.csv", "acme/in/c.csv"} <= await keys(tree.s3)


async def test_rclone_fetches_and_moves_from_a_pick_up(tree: ClientWorkspace) -> None:
    (await tree.clients.rclone("move", "alice:/outbox", str(tree.local), program=installed("rclone"))).ok()
    assert (tree.local / "report.csv").read_bytes() == b"yours"
    assert "acme/out/report.csv" not in await keys(tree.s3)
    words = ("copy", "alice:/", f"{tree.local}/all", "--exclude=/inbox/**", "--exclude=/keep/**")
    (await tree.clients.rclone(*words, program=installed("rclone"))).ok()
    assert (tree.local / "all/shared/rates.csv").read_bytes() == b"1.5"


async def test_lftp_uploads_to_a_drop_box_under_a_temporary_name(tree: ClientWorkspace) -> None:
    file = tree.file("f", BIG)
    (
        await tree.clients.lftp(
            "set xfer:use-temp-file yes", "set xfer:temp-file-name *.part", f"put {file} -o /inbox/f.csv"
        )
    ).ok()
    assert await tree.s3.body("acme/in/f.csv") == content(BIG)
    assert "acme/in/f.csv.part" not in await keys(tree.s3)


async def test_lftp_mirrors_what_it_may(tree: ClientWorkspace) -> None:
    await tree.s3.put("archive/alice/d/f", b"deep")
    await tree.s3.put("archive/alice/d/.hidden", b"no")
    (await tree.clients.lftp(f"mirror / {tree.local}/all --exclude ^inbox/ --exclude ^keep/")).ok()
    found = {str(f.relative_to(tree.local)) for f in tree.local.rglob("*") if f.is_file()}
    assert found == {"all/archive/d/f", "all/outbox/report.csv", "all/shared/rates.csv"}


@pytest.mark.parametrize("size", [100, BIG])
async def test_every_upload_of_one_name_is_kept(tree: ClientWorkspace, size: int) -> None:
    for number in range(3):
        (await tree.clients.sftp(f"put -p {tree.file('r.csv', size, number)} /keep/r.csv")).ok()
    names = ["r.csv", "r (2).csv", "r (3).csv"]
    assert [await tree.s3.body(f"acme/keep/{name}") for name in names] == [content(size, n) for n in range(3)]
    committed = [line["path"] for line in tree.server.events("upload.committed")][-3:]
    assert committed == [f"/keep/{name}" for name in names]


async def test_uploads_of_one_name_at_once_are_all_kept(tree: ClientWorkspace) -> None:
    files = [tree.file(f"{number}", 1000, number) for number in range(5)]
    results = await asyncio.gather(*(tree.clients.sftp(f"put {file} /keep/r.csv") for file in files))
    for result in results:
        result.ok()
    stored = [key for key in await keys(tree.s3) if key.startswith("acme/keep/")]
    assert sorted([await tree.s3.body(key) for key in stored]) == sorted(content(1000, n) for n in range(5))


async def test_programs_walk_the_tree_as_one(tree: ClientWorkspace, tmp_path: Path) -> None:
    await tree.s3.put("archive/alice/d/f", b"deep")

    def walk(root: Path) -> set[str]:
        found = set()
        for directory, names, files in os.walk(root, onerror=lambda error: refused.append(error.filename)):
            found |= {os.path.relpath(os.path.join(directory, name), root) for name in (*names, *files)}
        return found

    refused: list[str] = []
    async with tree.clients.sshfs("/", tmp_path / "mount") as mounted:
        found = await asyncio.to_thread(walk, mounted)
        data = await asyncio.to_thread((mounted / "shared/rates.csv").read_bytes)
        await asyncio.to_thread((mounted / "archive/new").write_bytes, b"new")
    assert found == {
        "inbox", "keep", "outbox", "outbox/report.csv", "archive", "archive/2026", "archive/d", "archive/d/f",
        "shared", "shared/rates.csv",
    }  # fmt: skip
    assert {Path(each).name for each in refused} == {"inbox", "keep"}
    assert data == b"1.5"
