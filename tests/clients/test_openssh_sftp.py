"""OpenSSH's `sftp`: everything it can ask of a server."""

from __future__ import annotations

import os

import pytest

from tests.support.client_workspace import ClientWorkspace, content
from tests.support.clients import quoted

BIG = 12_345_678  # three parts, the last one short


async def test_put_and_get(desk: ClientWorkspace) -> None:
    desk.file("there", BIG)
    result = await desk.clients.sftp(
        f"cd {desk.remote}", f"lcd {desk.local}", "put there name", "get name back", "ls -l name"
    )
    assert str(BIG) in result.ok().text
    assert (desk.local / "back").read_bytes() == content(BIG)
    assert await desk.body("name") == content(BIG)
    assert await desk.keys() == ["name"]


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr"])
async def test_keys_are_renewed_in_the_middle_of_transfers(desk: ClientWorkspace, cipher: str) -> None:
    desk.file("there", BIG)
    options = ("-o", "RekeyLimit=1M", "-c", cipher)
    lines = (f"cd {desk.remote}", f"lcd {desk.local}", "put there name", "get name back")
    (await desk.clients.sftp(*lines, options=options)).ok()
    assert (desk.local / "back").read_bytes() == content(BIG)
    assert await desk.body("name") == content(BIG)


async def test_put_over_a_larger_file_leaves_nothing_of_it(desk: ClientWorkspace) -> None:
    large, small = desk.file("large", 6_000_000, 1), desk.file("small", 1000, 2)
    await _ok(desk, f"put {large} {desk.remote}/x", f"put {small} {desk.remote}/x")
    assert await desk.body("x") == content(1000, 2)


async def test_reput_goes_on_where_the_file_ends(desk: ClientWorkspace) -> None:
    whole = desk.file("whole", BIG)
    for size in (1, 7_000_000, BIG - 1):
        await desk.put(f"part-{size}", content(BIG)[:size])
        await _ok(desk, f"reput {whole} {desk.remote}/part-{size}")
        assert await desk.body(f"part-{size}") == content(BIG)


async def test_reget_goes_on_where_the_local_file_ends(desk: ClientWorkspace) -> None:
    await desk.put("x", content(BIG))
    (desk.local / "x").write_bytes(content(BIG)[:7_000_001])
    await _ok(desk, f"reget {desk.remote}/x {desk.local}/x")
    assert (desk.local / "x").read_bytes() == content(BIG)


async def test_times_are_kept_with_p(desk: ClientWorkspace) -> None:
    for size in (100, BIG):
        file = desk.file(f"old-{size}", size)
        os.utime(file, (1_000_000_000, 1_234_567_890))
        await _ok(
            desk,
            f"put -p {file} {desk.remote}/{file.name}",
            f"get -p {desk.remote}/{file.name} {file}.back",
        )
        assert os.stat(f"{file}.back").st_mtime == 1_234_567_890
        assert (desk.local / f"{file.name}.back").read_bytes() == content(size)


async def test_trees_go_both_ways_with_r(desk: ClientWorkspace) -> None:
    names = ["tree/a", "tree/sub/b", "tree/sub/deep/c", "tree/sub.d/e"]
    for number, name in enumerate(names):
        desk.file(name, 1000 + number, number)
    (desk.local / "tree/empty").mkdir()
    await _ok(desk, f"cd {desk.remote}", f"put -r {desk.local}/tree", f"get -r tree {desk.local}/back")
    for name in names:
        back = desk.local / name.replace("tree", "back", 1)
        assert back.read_bytes() == (desk.local / name).read_bytes()
    assert (desk.local / "back/empty").is_dir()
    assert {name for name in await desk.keys() if not name.endswith("/")} == set(names)


async def test_ls_shows_files_and_directories_with_sizes(desk: ClientWorkspace) -> None:
    await desk.put("file", content(4321))
    await desk.put("dir/inside", b"")
    await desk.put("dir.txt", b"")
    listing = (await _ok(desk, f"ls -la {desk.remote}")).splitlines()
    lines = {
        line.rsplit(None, 1)[-1].rsplit("/", 1)[-1]: line for line in listing if not line.startswith("sftp>")
    }
    assert set(lines) == {".", "..", "file", "dir", "dir.txt"}
    assert lines["file"].startswith("-")
    assert " 4321 " in lines["file"]
    assert lines["dir"].startswith("d")


async def test_rename_replaces_and_the_legacy_rename_does_not(desk: ClientWorkspace) -> None:
    await desk.put("a", b"of a")
    await desk.put("b", b"of b")
    at = desk.remote
    (await desk.clients.sftp(f"rename -l {at}/a {at}/b")).failed()
    assert (await desk.body("a"), await desk.body("b")) == (b"of a", b"of b")
    await _ok(desk, f"rename {at}/a {at}/b")
    assert await desk.keys() == ["b"]
    assert await desk.body("b") == b"of a"


async def test_a_directory_is_renamed_with_all_in_it_and_nothing_beside_it(desk: ClientWorkspace) -> None:
    for name in ("foo/a", "foo/sub/b", "foobar/c", "foo.csv"):
        await desk.put(name, name.encode())
    await _ok(desk, f"rename {desk.remote}/foo {desk.remote}/new")
    assert await desk.keys() == ["foo.csv", "foobar/c", "new/a", "new/sub/b"]
    assert await desk.body("new/sub/b") == b"foo/sub/b"


async def test_rm_mkdir_rmdir(desk: ClientWorkspace) -> None:
    at = desk.remote
    file = desk.file("x")
    await _ok(desk, f"mkdir {at}/d", f"put {file} {at}/d/x")
    (await desk.clients.sftp(f"rmdir {at}/d")).failed()
    assert "d/x" in await desk.keys()
    await _ok(desk, f"rm {at}/d/x", f"mkdir {at}/e", f"rmdir {at}/e")
    assert not [key for key in await desk.keys() if key.startswith("e")]
    (await desk.clients.sftp(f"mkdir {at}/d")).failed()
    assert "No such file" in (await desk.clients.sftp(f"rm {at}/none")).failed().text
    (await desk.clients.sftp(f"rmdir {at}/none")).failed()
    await _ok(desk, f"rmdir {at}/d")
    assert await desk.keys() == []


async def test_rmdir_takes_only_the_directory_that_has_the_whole_name(desk: ClientWorkspace) -> None:
    for name in ("foo/", "foobar/x", "foo.csv"):
        await desk.put(name, b"")
    await _ok(desk, f"rmdir {desk.remote}/foo")
    assert await desk.keys() == ["foo.csv", "foobar/x"]


async def test_df_answers(desk: ClientWorkspace) -> None:
    assert "Size" in await _ok(desk, f"df -h {desk.remote}")


async def test_copy_is_made_by_s3(desk: ClientWorkspace) -> None:
    await desk.put("a", content(BIG))
    await _ok(desk, f"copy {desk.remote}/a {desk.remote}/b")
    assert await desk.body("b") == content(BIG)
    assert await desk.body("a") == content(BIG)


async def test_links_are_refused_clearly(desk: ClientWorkspace) -> None:
    await desk.put("a", b"")
    for option in ("", "-s "):
        said = (await desk.clients.sftp(f"ln {option}{desk.remote}/a {desk.remote}/b")).failed().text
        assert "unsupported" in said or "not support" in said, said
    assert await desk.keys() == ["a"]


async def test_chmod_and_chown_are_accepted_and_change_nothing(desk: ClientWorkspace) -> None:
    await desk.put("a", b"same")
    await _ok(desk, f"chmod 600 {desk.remote}/a")
    assert await desk.body("a") == b"same"


async def test_the_session_begins_at_the_users_root(desk: ClientWorkspace) -> None:
    said = await _ok(desk, "pwd", "cd ..", "pwd", f"cd {desk.remote}")
    assert said.count("Remote working directory: /\n") == 2


async def test_a_missing_file_is_no_such_file(desk: ClientWorkspace) -> None:
    for line in (
        f"get {desk.remote}/none {desk.local}/x",
        f"ls {desk.remote}/none",
        f"cd {desk.remote}/none",
    ):
        said = (await desk.clients.sftp(line)).failed().text
        assert "not found" in said or "No such file" in said
    assert not (desk.local / "x").exists()


async def test_a_small_request_size_changes_no_byte(desk: ClientWorkspace) -> None:
    file = desk.file("x", 3_000_000)
    result = await desk.clients.sftp(
        f"put {file} {desk.remote}/x",
        f"get {desk.remote}/x {file}.back",
        options=("-B", "10007", "-R", "200"),
    )
    result.ok()
    assert (desk.local / "x.back").read_bytes() == await desk.body("x") == content(3_000_000)


async def test_names_need_no_favours(desk: ClientWorkspace) -> None:
    quotes = quoted(f"{desk.remote}/a b'c")
    file = desk.file("x")
    await _ok(desk, b"put " + quoted(str(file)) + b" " + quotes)
    assert await desk.keys() == ["a b'c"]


async def _ok(desk: ClientWorkspace, *lines: str | bytes) -> str:
    return (await desk.clients.sftp(*lines)).ok().text
