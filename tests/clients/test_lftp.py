"""lftp: mirrors both ways, by key and by password."""

from __future__ import annotations

import pytest

from tests.support.client_workspace import ClientWorkspace, content

SIZES = {"a": 0, "b": 1, "sub/c": 100_000, "sub/deep/d": 6_000_000, "sub.x/e": 5}


@pytest.mark.parametrize("password", [False, True])
async def test_mirror_both_ways(desk: ClientWorkspace, *, password: bool) -> None:
    for number, (name, size) in enumerate(SIZES.items()):
        desk.file(f"tree/{name}", size, number)
    result = await desk.clients.lftp(
        f"mirror -R {desk.local}/tree {desk.remote}/tree",
        f"mirror --parallel=3 {desk.remote}/tree {desk.local}/back",
        password=password,
    )
    result.ok()
    for number, (name, size) in enumerate(SIZES.items()):
        assert (desk.local / "back" / name).read_bytes() == content(size, number)
        assert await desk.body(f"tree/{name}") == content(size, number)


async def test_a_second_mirror_has_nothing_to_do(desk: ClientWorkspace) -> None:
    desk.file("tree/a", 1000)
    desk.file("tree/b", 6_000_000)
    up = f"mirror -R --verbose {desk.local}/tree {desk.remote}/tree"
    (await desk.clients.lftp(up)).ok()
    again = (await desk.clients.lftp(up)).ok()
    assert "Transferring" not in again.text, again.text


async def test_put_get_and_the_rest(desk: ClientWorkspace) -> None:
    file = desk.file("x", 6_000_000)
    at = desk.remote
    result = await desk.clients.lftp(
        f"put {file} -o {at}/x",
        f"mkdir {at}/d",
        f"mv {at}/x {at}/d/y",
        f"get {at}/d/y -o {file}.back",
        f"ls {at}/d",
        f"rm {at}/d/y",
        f"rmdir {at}/d",
    )
    assert "6000000" in result.ok().text
    assert (desk.local / "x.back").read_bytes() == content(6_000_000)
    assert await desk.keys() == []


async def test_a_broken_upload_is_continued(desk: ClientWorkspace) -> None:
    file = desk.file("x", 12_000_000)
    await desk.put("x", content(12_000_000)[:7_000_000])
    (await desk.clients.lftp(f"put -c {file} -o {desk.remote}/x")).ok()
    assert await desk.body("x") == content(12_000_000)


async def test_a_download_in_pieces(desk: ClientWorkspace) -> None:
    await desk.put("x", content(12_000_000))
    (await desk.clients.lftp(f"pget -n 4 {desk.remote}/x -o {desk.local}/x")).ok()
    assert (desk.local / "x").read_bytes() == content(12_000_000)
