"""rclone, the one that Debian has and the present one: copy, check, move."""

from __future__ import annotations

import pytest

from tests.support.client_workspace import ClientWorkspace, content
from tests.support.commands import installed


@pytest.fixture(params=["debian", "present"])
def rclone(request: pytest.FixtureRequest) -> str:
    """Debian's rclone (1.60: sends bytes after the data of a WRITE) and PyPI's."""
    if request.param == "debian":
        return installed("rclone", path="/usr/bin/rclone")
    return installed("rclone")


SIZES = {"a": 0, "b": 1, "sub/c d": 100_000, "sub/deep/d+#%": 6_000_000, "sub.x/ü": 5}


async def test_copy_and_check_both_ways(desk: ClientWorkspace, rclone: str) -> None:
    for number, (name, size) in enumerate(SIZES.items()):
        desk.file(f"tree/{name}", size, number)
    here, there, back = f"{desk.local}/tree", f"alice:{desk.remote}/tree", f"{desk.local}/back"
    for words in (
        ("copy", here, there),
        ("check", "--download", here, there),
        ("copy", there, back),
        ("check", back, here),
    ):
        (await desk.clients.rclone(*words, program=rclone)).ok()
    for number, (name, size) in enumerate(SIZES.items()):
        assert await desk.body(f"tree/{name}") == content(size, number)
    assert not [key for key in await desk.keys() if "partial" in key]
    assert await desk.uploads() == []


async def test_a_second_copy_has_nothing_to_do(desk: ClientWorkspace, rclone: str) -> None:
    desk.file("tree/a", 1000)
    desk.file("tree/b", 6_000_000)
    words = ("copy", "-v", f"{desk.local}/tree", f"alice:{desk.remote}/tree")
    assert "Copied" in (await desk.clients.rclone(*words, program=rclone)).ok().text
    assert "Copied" not in (await desk.clients.rclone(*words, program=rclone)).ok().text


async def test_move_and_rename(desk: ClientWorkspace, rclone: str) -> None:
    for name in ("d/a", "d/b/c", "dd/x"):
        await desk.put(name, name.encode())
    at = f"alice:{desk.remote}"
    (await desk.clients.rclone("moveto", f"{at}/d/a", f"{at}/d/new", program=rclone)).ok()
    (await desk.clients.rclone("move", f"{at}/d", f"{at}/e", "--delete-empty-src-dirs", program=rclone)).ok()
    assert await _files(desk) == ["dd/x", "e/b/c", "e/new"]
    assert await desk.body("e/b/c") == b"d/b/c"


async def test_purge_removes_a_tree_that_a_client_made(desk: ClientWorkspace, rclone: str) -> None:
    for name in ("tree/a", "tree/b/c", "tree/b/d/e"):
        desk.file(name)
    await desk.put("tree.x", b"stays")
    (await desk.clients.rclone("copy", str(desk.local), f"alice:{desk.remote}", program=rclone)).ok()
    (await desk.clients.rclone("purge", f"alice:{desk.remote}/tree", program=rclone)).ok()
    assert await desk.keys() == ["tree.x"]


async def test_purge_removes_a_tree_of_bare_objects_where_empty_directories_are_kept(
    keeping: ClientWorkspace, rclone: str
) -> None:
    for name in ("tree/a", "tree/b/c", "tree/b/d/e", "tree.x"):
        await keeping.put(name, b"")
    (await keeping.clients.rclone("purge", f"alice:{keeping.remote}/tree", program=rclone)).ok()
    assert await keeping.keys() == ["tree.x"]


async def test_sync_replaces_what_changed_and_removes_what_is_gone(
    desk: ClientWorkspace, rclone: str
) -> None:
    desk.file("tree/changed", 1000, 1)
    await desk.put("tree/changed", content(2000, 2))
    await desk.put("tree/gone", b"gone")
    (
        await desk.clients.rclone("sync", f"{desk.local}/tree", f"alice:{desk.remote}/tree", program=rclone)
    ).ok()
    assert await desk.body("tree/changed") == content(1000, 1)
    assert await _files(desk) == ["tree/changed"]


async def test_cat_reads_a_range(desk: ClientWorkspace, rclone: str) -> None:
    await desk.put("x", content(12_000_000))
    words = ("cat", "--offset", "5000000", "--count", "1000", f"alice:{desk.remote}/x")
    assert (await desk.clients.rclone(*words, program=rclone)).ok().out == content(12_000_000)[
        5_000_000:5_001_000
    ]


async def _files(desk: ClientWorkspace) -> list[str]:
    return [key for key in await desk.keys() if not key.endswith("/")]
