"""A day of a client on each store: every operation, with the bytes looked at in the bucket."""

from __future__ import annotations

import os
import re

import asyncssh
import pytest

from tests.stores.lacks import Trait
from tests.support.client_workspace import ClientWorkspace, content
from tests.support.commands import Result, installed
from tests.support.server import PART_BYTES

LARGE = 12_345_678  # three parts, the last one short
needs = pytest.mark.needs
pytestmark = pytest.mark.timeout(120, func_only=True)  # the first test on s3s-fs builds it in a fixture


@pytest.fixture
async def desk(desk: ClientWorkspace) -> ClientWorkspace:
    """With a file that is there before."""
    await desk.put("there", b"before")
    return desk


async def sftp(desk: ClientWorkspace, *lines: str) -> str:
    """Run lines of OpenSSH's sftp ."""
    return (await desk.clients.sftp(f"cd {desk.remote}", f"lcd {desk.local}", *lines)).ok().text


async def refused(desk: ClientWorkspace, *lines: str) -> str:
    """Run lines of which the last one is refused: what the client is told, which is never our own fault."""
    said = (await desk.clients.sftp(f"cd {desk.remote}", f"lcd {desk.local}", *lines)).failed().text
    assert "internal error" not in said
    return said


def sizes(*known: int) -> pytest.MarkDecorator:
    """Sizes of files, with what those of several parts need."""
    marks = {size: (needs(Trait.ONE_ETAG),) for size in known if size > PART_BYTES}
    return pytest.mark.parametrize("size", [pytest.param(size, marks=marks.get(size, ())) for size in known])


@sizes(0, 1, PART_BYTES, LARGE)
async def test_a_file_comes_back_as_it_went(desk: ClientWorkspace, size: int) -> None:
    desk.file("f", size)
    listing = await sftp(desk, "put f", "get f back", "ls -l f")
    assert re.search(rf"\s{size}\s", listing)
    assert (desk.local / "back").read_bytes() == content(size) == await desk.body("f")


async def test_a_file_replaces_a_larger_one(desk: ClientWorkspace) -> None:
    desk.file("large", LARGE, 1)
    desk.file("small", 1000, 2)
    await sftp(desk, "put large f", "put small f", "get f back")
    assert (desk.local / "back").read_bytes() == content(1000, 2) == await desk.body("f")


@needs(Trait.ONE_ETAG)
@pytest.mark.parametrize("begun", [1, 7_000_000])
async def test_an_upload_is_resumed(desk: ClientWorkspace, begun: int) -> None:
    desk.file("f", LARGE)
    await desk.put("f", content(LARGE)[:begun])
    await sftp(desk, "reput f")
    assert await desk.body("f") == content(LARGE)


@needs(Trait.ONE_ETAG)
async def test_a_download_is_resumed(desk: ClientWorkspace) -> None:
    await desk.put("f", content(LARGE))
    (desk.local / "f").write_bytes(content(LARGE)[:7_000_001])
    await sftp(desk, "reget f")
    assert (desk.local / "f").read_bytes() == content(LARGE)


@sizes(10, LARGE)
async def test_a_file_is_appended_to(desk: ClientWorkspace, size: int) -> None:
    await desk.put("log", content(size))
    async with desk.clients.asyncssh() as connection, connection.start_sftp_client() as client:
        async with client.open(f"{desk.remote}/log", "ab") as log:
            await log.write(b"one more line")
    assert await desk.body("log") == content(size) + b"one more line"


@sizes(10, LARGE)
async def test_bytes_in_the_middle_are_changed(desk: ClientWorkspace, size: int) -> None:
    await desk.put("f", content(size))
    async with desk.clients.asyncssh() as connection, connection.start_sftp_client() as client:
        async with client.open(f"{desk.remote}/f", "rb+") as file:
            await file.seek(size // 2)
            await file.write(b"new")
    assert await desk.body("f") == content(size)[: size // 2] + b"new" + content(size)[size // 2 + 3 :]


async def test_a_file_is_renamed(desk: ClientWorkspace) -> None:
    await desk.put("old", b"of old")
    await sftp(desk, "rename old new")
    assert await files(desk) == ["new", "there"]
    assert await desk.body("new") == b"of old"


async def test_a_rename_replaces_and_the_older_one_does_not(desk: ClientWorkspace) -> None:
    await desk.put("a", b"of a")
    await desk.put("b", b"of b")
    await refused(desk, "rename -l a b")
    assert (await desk.body("a"), await desk.body("b")) == (b"of a", b"of b")
    await sftp(desk, "rename a b")
    assert await files(desk) == ["b", "there"]
    assert await desk.body("b") == b"of a"


async def test_the_older_rename_takes_a_free_name(desk: ClientWorkspace) -> None:
    await desk.put("a", b"of a")
    await sftp(desk, "rename -l a b")
    assert await files(desk) == ["b", "there"]


@needs(Trait.DIRECTORIES)
async def test_a_directory_is_renamed_with_all_in_it(desk: ClientWorkspace) -> None:
    for name in ("foo/a", "foo/sub/b", "foobar/c", "foo.csv"):
        await desk.put(name, name.encode())
    await sftp(desk, "rename foo new")
    assert await files(desk) == ["foo.csv", "foobar/c", "new/a", "new/sub/b", "there"]
    assert await desk.body("new/sub/b") == b"foo/sub/b"


@needs(Trait.MARKERS)
async def test_a_directory_is_made_listed_and_removed(desk: ClientWorkspace) -> None:
    desk.file("f", 100)
    listing = await sftp(desk, "mkdir d", "put f d/f", "ls -l", "ls d")
    assert re.search(r"^d.* d$", listing, re.MULTILINE)
    assert "d/f" in listing
    await refused(desk, "rmdir d")
    await sftp(desk, "rm d/f", "ls d", "rmdir d")
    assert await files(desk) == ["there"]
    assert " d\n" not in await sftp(desk, "ls -l")


@needs(Trait.MARKERS)
async def test_an_empty_directory_is_renamed(desk: ClientWorkspace) -> None:
    listing = await sftp(desk, "mkdir d", "rename d e", "ls -l")
    assert re.search(r"^d.* e$", listing, re.MULTILINE)


@needs(Trait.DIRECTORIES)
async def test_a_tree_goes_both_ways(desk: ClientWorkspace) -> None:
    names = ["tree/a", "tree/sub/b", "tree/sub/deep/c", "tree/sub.d/e"]
    for number, name in enumerate(names):
        desk.file(name, 1000 + number, number)
        await desk.put(name, content(1000 + number, number))
    await sftp(desk, "get -r tree back")
    for number, name in enumerate(names):
        assert (desk.local / name.replace("tree", "back", 1)).read_bytes() == content(1000 + number, number)


async def test_names_that_are_not_there_are_said_not_to_be(desk: ClientWorkspace) -> None:
    for line in ("get none", "rm none", "rmdir none", "rename none other", "ls none"):
        said = await refused(desk, line)
        assert re.search("not found|No such file", said), line


async def test_a_removed_file_is_gone(desk: ClientWorkspace) -> None:
    await desk.put("f", b"")
    assert "\nf\n" not in await sftp(desk, "rm f", "ls -1")
    assert await files(desk) == ["there"]


async def test_a_new_file_is_not_made_where_one_is(desk: ClientWorkspace) -> None:
    async with desk.clients.asyncssh() as connection, connection.start_sftp_client() as client:
        with pytest.raises(asyncssh.SFTPError, match="file exists"):
            await client.open(f"{desk.remote}/there", "xb")
        async with client.open(f"{desk.remote}/new", "xb") as file:
            await file.write(b"new")
    assert (await desk.body("there"), await desk.body("new")) == (b"before", b"new")


@sizes(10, LARGE)
async def test_a_new_file_does_not_replace_one_that_came_meanwhile(desk: ClientWorkspace, size: int) -> None:
    async with desk.clients.asyncssh() as connection, connection.start_sftp_client() as client:
        file = await client.open(f"{desk.remote}/mine", "xb")
        await file.write(content(size))
        await desk.put("mine", b"of somebody else")
        with pytest.raises(asyncssh.SFTPError, match="file exists"):
            await file.close()
    assert await desk.body("mine") == b"of somebody else"


@sizes(100, LARGE)
async def test_a_time_is_kept(desk: ClientWorkspace, size: int) -> None:
    file = desk.file("f", size)
    os.utime(file, (1_000_000_000, 1_234_567_890))
    await sftp(desk, "put -p f", "get -p f back")
    assert os.stat(desk.local / "back").st_mtime == 1_234_567_890
    assert (desk.local / "back").read_bytes() == content(size)


async def test_a_time_that_comes_later_is_kept(desk: ClientWorkspace) -> None:
    await desk.put("f", content(LARGE))
    async with desk.clients.asyncssh() as connection, connection.start_sftp_client() as client:
        await client.utime(f"{desk.remote}/f", (1_000_000_000, 1_234_567_890))
        assert (await client.stat(f"{desk.remote}/f")).mtime == 1_234_567_890
    assert await desk.body("f") == content(LARGE)


@needs(Trait.MARKERS)
async def test_rclone_copies_and_checks(desk: ClientWorkspace) -> None:
    sizes = {"a": 0, "b": 1, "sub/c d": 100_000, "sub/deep/d+#%": 6_000_000, "sub.x/ü": 5}
    for number, (name, size) in enumerate(sizes.items()):
        desk.file(f"tree/{name}", size, number)
    here, there, back = f"{desk.local}/tree", f"alice:{desk.remote}/tree", f"{desk.local}/back"
    await rclone(desk, "copy", here, there)
    await rclone(desk, "check", "--download", here, there)
    await rclone(desk, "copy", there, back)
    await rclone(desk, "check", back, here)
    assert "Copied" not in (await rclone(desk, "copy", "-v", here, there)).text
    for number, (name, size) in enumerate(sizes.items()):
        assert await desk.body(f"tree/{name}") == content(size, number)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("a\\b", id="backslash"),
        pytest.param("n" * 100, id="long"),
        pytest.param("é+#%? &=;", id="punctuation", marks=needs(Trait.ANY_NAME)),
    ],
)
async def test_an_odd_name_is_kept(desk: ClientWorkspace, name: str) -> None:
    async with desk.clients.asyncssh() as connection, connection.start_sftp_client() as client:
        async with client.open(f"{desk.remote}/{name}", "wb") as file:
            await file.write(b"odd")
        assert name in await client.listdir(desk.remote)
        async with client.open(f"{desk.remote}/{name}", "rb") as file:
            assert await file.read() == b"odd"
        await client.remove(f"{desk.remote}/{name}")
        assert await client.listdir(desk.remote) == [".", "..", "there"]


@needs(Trait.LONG_NAMES)
async def test_a_file_may_have_a_name_of_255_bytes(desk: ClientWorkspace) -> None:
    desk.file("f", 10)
    name = "n" * 255
    assert name in await sftp(desk, f"put f {name}", "ls -1")


@needs(Trait.LONG_DIRECTORIES)
async def test_a_directory_may_have_a_name_of_255_bytes(desk: ClientWorkspace) -> None:
    desk.file("f", 10)
    name = "n" * 255
    await sftp(desk, f"mkdir {name}", f"put f {name}/f", f"rename {name}/f g")
    assert await desk.body("g") == content(10)


async def test_what_a_store_cannot_keep_is_a_clear_error(desk: ClientWorkspace) -> None:
    """Nothing is lost, and nobody reads of an internal error."""
    desk.file("f", 10)
    await sftp(desk, "put f")
    for line in ("put f f/below", f"put f {'n' * 255}", f"mkdir {'n' * 255}", f"put f {'n' * 300}"):
        done = await desk.clients.sftp(f"cd {desk.remote}", f"lcd {desk.local}", line)
        assert "internal error" not in done.text
    assert await desk.body("f") == content(10)
    assert await desk.body("there") == b"before"


@needs(Trait.UPLOADS_LISTED)
async def test_nothing_unfinished_is_left(desk: ClientWorkspace) -> None:
    assert await desk.uploads() == []


async def files(desk: ClientWorkspace) -> list[str]:
    return [key for key in await desk.keys() if not key.endswith("/")]


async def rclone(desk: ClientWorkspace, *words: str) -> Result:
    return (await desk.clients.rclone(*words, program=installed("rclone"))).ok()
