"""OpenSSH's `scp` (version 9 and later speaks SFTP): opens without TRUNC and sets the size at the end."""

from __future__ import annotations

import os

from tests.support.client_workspace import ClientWorkspace, content


async def test_the_same_file_twice_and_back(desk: ClientWorkspace) -> None:
    file = desk.file("x", 6_000_000)
    target = desk.clients.remote(f"{desk.remote}/x")
    for _ in range(2):
        (await desk.clients.scp(str(file), target)).ok()
    (await desk.clients.scp(target, f"{file}.back")).ok()
    assert (desk.local / "x.back").read_bytes() == await desk.body("x") == content(6_000_000)


async def test_a_smaller_file_over_a_larger_one_leaves_no_tail(desk: ClientWorkspace) -> None:
    for large, small in ((20_000, 1000), (12_000_000, 1000), (12_000_000, 6_000_000), (5_000, 0)):
        name = f"x-{large}-{small}"
        target = desk.clients.remote(f"{desk.remote}/{name}")
        (await desk.clients.scp(str(desk.file("large", large, 1)), target)).ok()
        (await desk.clients.scp(str(desk.file("small", small, 2)), target)).ok()
        assert await desk.body(name) == content(small, 2)


async def test_a_larger_file_over_a_smaller_one(desk: ClientWorkspace) -> None:
    target = desk.clients.remote(f"{desk.remote}/x")
    (await desk.clients.scp(str(desk.file("small", 1000, 1)), target)).ok()
    (await desk.clients.scp(str(desk.file("large", 12_000_000, 2)), target)).ok()
    assert await desk.body("x") == content(12_000_000, 2)


async def test_a_whole_file_may_replace_one_that_someone_else_has_just_taken_away(
    desk: ClientWorkspace,
) -> None:
    target = desk.clients.remote(f"{desk.remote}/x")
    for size in (1000, 12_000_000):
        (await desk.clients.scp(str(desk.file("first", size, 1)), target)).ok()
        await desk.s3.delete(f"{desk.key_prefix}x")
        (await desk.clients.scp(str(desk.file("second", size, 2)), target)).ok()
        assert await desk.body("x") == content(size, 2)


async def test_a_tree_both_ways_with_times(desk: ClientWorkspace) -> None:
    for number, name in enumerate(("tree/a", "tree/sub/b")):
        os.utime(desk.file(name, 1000, number), (1_000_000_000, 1_234_567_890))
    (await desk.clients.scp("-rp", str(desk.local / "tree"), desk.clients.remote(desk.remote))).ok()
    (await desk.clients.scp("-rp", desk.clients.remote(f"{desk.remote}/tree"), str(desk.local / "back"))).ok()
    for name in ("a", "sub/b"):
        back = desk.local / "back" / name
        assert back.read_bytes() == (desk.local / "tree" / name).read_bytes()
        assert back.stat().st_mtime == 1_234_567_890


async def test_the_home_directory_is_the_users_root(desk: ClientWorkspace) -> None:
    target = desk.clients.remote(f"~{desk.remote}/x")
    (await desk.clients.scp(str(desk.file("x")), target)).ok()
    (await desk.clients.scp(str(desk.file("y")), desk.clients.remote(f"{desk.remote[1:]}/y"))).ok()
    assert await desk.keys() == ["x", "y"]


async def test_a_missing_file_fails(desk: ClientWorkspace) -> None:
    (await desk.clients.scp(desk.clients.remote(f"{desk.remote}/none"), str(desk.local / "x"))).failed()
    assert not (desk.local / "x").exists()
