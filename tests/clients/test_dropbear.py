"""Dropbear's client, of routers, cameras and NAS: OpenSSH's sftp speaks through it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.client_workspace import ClientWorkspace, content
from tests.support.commands import Result, installed, run

LARGE = 6_000_007


async def _sftp(desk: ClientWorkspace, *lines: str, password: bool = False) -> Result:
    """OpenSSH's sftp on dbclient, which knows none of the options that sftp hands to ssh."""
    server, home = desk.server, desk.local.parent / "home"
    environment = {"HOME": str(home), "LC_ALL": "C.UTF-8"}
    _let_know(desk, home)
    login = ""
    if password:
        environment["DROPBEAR_PASSWORD"] = server.password
    else:
        login = f"-i {await _dropbear_key(desk, home)}"
    door, batch = home / "door", home / "batch"
    command = f"{installed('dbclient')} -T {login} -p {server.port} -s {server.user}@{server.host} sftp"
    door.write_text(f"#!/bin/sh\nexec {command}\n")
    door.chmod(0o700)
    batch.write_text("".join(f"{line}\n" for line in lines))
    return await run([installed("sftp"), "-S", str(door), "-b", str(batch), server.host], environment)


def _let_know(desk: ClientWorkspace, home: Path) -> None:
    """The host keys, by the address alone: dbclient knows no ports in that file."""
    known = home / ".ssh/known_hosts"
    known.parent.mkdir(parents=True, exist_ok=True)
    lines = desk.server.known_hosts.read_text().splitlines()
    known.write_text("".join(f"{desk.server.host} {line.partition(' ')[2]}\n" for line in lines))


async def _dropbear_key(desk: ClientWorkspace, home: Path) -> Path:
    key = home / "key"
    converting = [installed("dropbearconvert"), "openssh", "dropbear", str(desk.server.key_file), str(key)]
    (await run(converting)).ok()
    return key


@pytest.mark.parametrize("password", [False, True], ids=["key", "password"])
async def test_put_get_and_the_rest(partner_desk: ClientWorkspace, *, password: bool) -> None:
    desk, at = partner_desk, partner_desk.remote
    small, large = desk.file("small"), desk.file("large", LARGE)
    result = await _sftp(
        desk,
        f"put {small} {at}/small",
        f"mkdir {at}/a",
        f"mkdir {at}/a/b",
        f"put {large} {at}/a/b/large",
        f"rename {at}/small {at}/a/renamed",
        f"get {at}/a/b/large {desk.local}/back",
        f"ls -l {at}/a/b",
        f"rm {at}/a/renamed",
        f"rename {at}/a/b/large {at}/kept",
        f"rmdir {at}/a/b",
        f"rmdir {at}/a",
        password=password,
    )
    assert str(LARGE) in result.ok().text
    assert (desk.local / "back").read_bytes() == content(LARGE)
    assert await desk.keys() == ["kept"]


async def test_the_rest_of_an_upload(partner_desk: ClientWorkspace) -> None:
    desk = partner_desk
    await desk.put("x", content(LARGE)[:3_000_000])
    (await _sftp(desk, f"reput {desk.file('x', LARGE)} {desk.remote}/x")).ok()
    assert await desk.body("x") == content(LARGE)


async def test_a_missing_file_fails(partner_desk: ClientWorkspace) -> None:
    result = await _sftp(partner_desk, f"get {partner_desk.remote}/none {partner_desk.local}/x")
    assert "not found" in result.failed().text
