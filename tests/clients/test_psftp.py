"""PuTTY's psftp, by password."""

from __future__ import annotations

from tests.support.client_workspace import ClientWorkspace, content


async def test_put_get_and_the_rest(desk: ClientWorkspace) -> None:
    desk.file("x", 6_000_000)
    result = await desk.clients.psftp(
        f"cd {desk.remote}",
        f"lcd {desk.local}",
        "put x there",
        "mkdir d",
        "mv there d/name",
        "get d/name back",
        "ls d",
        "chmod 600 d/name",
        "rm d/name",
        "rmdir d",
    )
    assert "6000000" in result.ok().text
    assert (desk.local / "back").read_bytes() == content(6_000_000)
    assert await desk.keys() == []


async def test_reput_and_reget(desk: ClientWorkspace) -> None:
    desk.file("x", 12_000_000)
    await desk.put("x", content(12_000_000)[:7_000_000])
    (desk.local / "back").write_bytes(content(12_000_000)[:5_000_000])
    lines = (f"cd {desk.remote}", f"lcd {desk.local}", "reput x", "reget x back")
    (await desk.clients.psftp(*lines)).ok()
    assert await desk.body("x") == content(12_000_000)
    assert (desk.local / "back").read_bytes() == content(12_000_000)


async def test_a_tree_with_r(desk: ClientWorkspace) -> None:
    for number, name in enumerate(("tree/a", "tree/sub/b")):
        desk.file(name, 1000, number)
    lines = (f"cd {desk.remote}", f"lcd {desk.local}", "put -r tree", "get -r tree back")
    (await desk.clients.psftp(*lines)).ok()
    assert (desk.local / "back/sub/b").read_bytes() == content(1000, 1)


async def test_a_missing_file_fails(desk: ClientWorkspace) -> None:
    (await desk.clients.psftp(f"get {desk.remote}/none {desk.local}/x")).failed()
