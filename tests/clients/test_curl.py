"""curl, which is libssh2: each call is a login, with a password or a key in PEM."""

from __future__ import annotations

import pytest

from tests.support.client_workspace import ClientWorkspace, content
from tests.support.commands import Result, installed, run
from tests.support.partner_server import PartnerServer

LARGE = 6_000_007
NOT_FOUND = 78
"""curl's exit status for a remote file that is not there."""


async def _curl(desk: ClientWorkspace, path: str, *words: str, kind: str = "") -> Result:
    """curl on one path below the workspace's directory."""
    server = desk.server
    assert isinstance(server, PartnerServer)
    known = desk.local.parent / "home/.ssh/known_hosts"
    known.parent.mkdir(parents=True, exist_ok=True)
    known.write_bytes(server.known_hosts.read_bytes())
    secret = f"{server.user}:" if kind else f"{server.user}:{server.password}"
    key = ["--key", str(server.keys[kind]), "--pubkey", f"{server.keys[kind]}.pub"] if kind else []
    command = [installed("curl"), "--disable", "-sS", "--user", secret, *key, *words]
    url = f"sftp://{server.host}:{server.port}{desk.remote}/{path}"
    return await run([*command, url], {"HOME": str(desk.local.parent / "home")})


@pytest.mark.parametrize("kind", ["", "ed25519", "ecdsa"])
async def test_put_and_get(partner_desk: ClientWorkspace, kind: str) -> None:
    desk = partner_desk
    for name, size in (("small", 1000), ("large", LARGE)):
        file = desk.file(name, size)
        (await _curl(desk, f"new/directory/{name}", "--ftp-create-dirs", "-T", str(file), kind=kind)).ok()
        assert await desk.body(f"new/directory/{name}") == content(size)
        assert (await _curl(desk, f"new/directory/{name}", kind=kind)).ok().out == content(size)


async def test_a_listing(partner_desk: ClientWorkspace) -> None:
    desk = partner_desk
    await desk.put("file", b"12345")
    await desk.put("directory/inner", b"x")
    long = (await _curl(desk, "")).ok().text
    assert "drwx" in long
    assert " 5 " in long
    names = (await _curl(desk, "", "--list-only")).ok().text.split()
    assert sorted(name for name in names if name not in (".", "..")) == ["directory", "file"]


async def test_append_and_resume_both_ways(partner_desk: ClientWorkspace) -> None:
    desk = partner_desk
    file = desk.file("x", LARGE)
    await desk.put("x", content(LARGE)[:3_000_000])
    (await _curl(desk, "x", "-C", "-", "-T", str(file))).ok()
    assert await desk.body("x") == content(LARGE)
    (await _curl(desk, "x", "--append", "-T", str(desk.file("more", 10, 7)))).ok()
    assert await desk.body("x") == content(LARGE) + content(10, 7)
    back = desk.local / "back"
    back.write_bytes(content(LARGE)[:2_000_000])
    (await _curl(desk, "x", "-C", "-", "-o", str(back))).ok()
    assert back.read_bytes() == content(LARGE) + content(10, 7)


async def test_a_part_of_a_file(partner_desk: ClientWorkspace) -> None:
    await partner_desk.put("x", content(LARGE))
    got = (await _curl(partner_desk, "x", "--range", "1000000-1999999")).ok().out
    assert got == content(LARGE)[1_000_000:2_000_000]


async def test_commands_before_and_after_a_transfer(partner_desk: ClientWorkspace) -> None:
    desk, at = partner_desk, partner_desk.remote
    after = (f"-rename {at}/up {at}/there", f"-chmod 640 {at}/there", f"-mkdir {at}/d", f"-rmdir {at}/d")
    quotes = [word for command in after for word in ("-Q", command)]
    (await _curl(desk, "up", "-T", str(desk.file("up")), *quotes)).ok()
    assert await desk.keys() == ["there"]
    (await _curl(desk, "", "-o", "/dev/null", "-Q", f"-rm {at}/there")).ok()
    assert await desk.keys() == []


async def test_the_time_of_a_file(partner_desk: ClientWorkspace) -> None:
    desk = partner_desk
    (await _curl(desk, "x", "-T", str(desk.file("x")), "-Q", f"-mtime 20200101 {desk.remote}/x")).ok()
    back = desk.local / "back"
    (await _curl(desk, "x", "--remote-time", "-o", str(back))).ok()
    assert back.stat().st_mtime == 1_577_836_800


async def test_a_missing_file_has_its_own_status(partner_desk: ClientWorkspace) -> None:
    assert (await _curl(partner_desk, "none")).status == NOT_FOUND
