"""restic: a repository over SFTP, which restic reaches through OpenSSH's ssh."""

from __future__ import annotations

from tests.support.client_workspace import ClientWorkspace, content
from tests.support.restic import restic


async def test_a_backup_comes_back_whole(partner_desk: ClientWorkspace) -> None:
    desk = partner_desk
    for number, (name, size) in enumerate({"a": 0, "b": 1000, "deep/er/c": 9_000_007}.items()):
        desk.file(f"tree/{name}", size, number)
    (await restic(desk, "init")).ok()
    (await restic(desk, "backup", f"{desk.local}/tree")).ok()
    desk.file("tree/later", 2000, 9)
    (await restic(desk, "backup", f"{desk.local}/tree")).ok()
    (await restic(desk, "check", "--read-data")).ok()
    (await restic(desk, "restore", "latest", "--target", f"{desk.local}/back")).ok()
    back = desk.local / f"back/{desk.local}/tree"
    assert (back / "deep/er/c").read_bytes() == content(9_000_007, 2)
    assert (back / "later").read_bytes() == content(2000, 9)


async def test_what_is_forgotten_is_removed(partner_desk: ClientWorkspace) -> None:
    desk = partner_desk
    desk.file("tree/x", 3_000_000)
    (await restic(desk, "init")).ok()
    (await restic(desk, "backup", f"{desk.local}/tree")).ok()
    before = len(await desk.keys())
    (await restic(desk, "forget", "--prune", "--keep-last", "1", "--group-by", "host")).ok()
    assert len(await desk.keys()) == before
    (desk.local / "tree/x").write_bytes(b"other")
    (await restic(desk, "backup", f"{desk.local}/tree")).ok()
    (await restic(desk, "forget", "--prune", "--keep-last", "1", "--group-by", "host")).ok()
    (await restic(desk, "check")).ok()
    said = (await restic(desk, "snapshots", "--compact")).ok().text
    assert "1 snapshots" in said


async def test_a_missing_repository_is_told(partner_desk: ClientWorkspace) -> None:
    said = (await restic(partner_desk, "snapshots")).failed().text
    assert "repository" in said
