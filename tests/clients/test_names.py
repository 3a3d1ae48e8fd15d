"""Names that are hard: what shells, URLs, XML and S3 servers take for something else."""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.support.client_workspace import ClientWorkspace, content
from tests.support.clients import quoted
from tests.support.commands import installed

HARD: tuple[bytes, ...] = (
    b"two  spaces and one at the end ",
    b" one at the start",
    b"plus+percent%41hash#question?star*",
    b"back\\slash",
    b"\"double\" 'single' `back`",
    b"semi;colon,comma&amp<tag>|pipe$dollar!{brace}[square](round)~^=@:",
    b"-dash",
    b"...",
    "übergrößen-日本語-🚀".encode(),
    "é (composed) é (decomposed)".encode(),
    b"latin1-\xfc\xe4-\xff\xfe",
    b"tab\tand\x01control\x7f",
    b"%2e%2e%2fescaped",
    b"x" * 255,
    "ü".encode() * 127,
)
PLAIN = [name for name in HARD if b"\x01" not in name]


@pytest.mark.parametrize("name", HARD, ids=lambda name: name[:20].decode("ascii", "backslashreplace"))
async def test_openssh_put_list_get_rename_and_remove(desk: ClientWorkspace, name: bytes) -> None:
    file = desk.file("local", 1000)
    remote = os.fsencode(desk.remote)
    here, there = quoted(str(file)), quoted(remote + b"/" + name)
    result = await desk.clients.sftp(
        b"put " + here + b" " + there,
        b"get " + there + b" " + quoted(f"{file}.back"),
        b"rename " + there + b" " + quoted(remote + b"/plain"),
        b"rename " + quoted(remote + b"/plain") + b" " + there,
    )
    result.ok()
    assert (desk.local / "local.back").read_bytes() == content(1000)
    keys = await desk.keys()
    assert len(keys) == 1
    if b"\\" not in name and not _is_odd(name):
        assert keys == [name.decode()]
    assert await _names_listed(desk) == [name]
    (await desk.clients.sftp(b"rm " + there)).ok()
    assert await desk.keys() == []


def _is_odd(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return True
    return any(byte < 32 for byte in name)


async def _names_listed(desk: ClientWorkspace) -> list[bytes]:
    """Names as bytes, as READDIR has them: printing clients replace what they cannot print."""
    async with desk.clients.asyncssh() as connection, connection.start_sftp_client() as sftp:
        names = await sftp.listdir(os.fsencode(desk.remote))
    return [os.fsencode(name) for name in names if name not in (b".", b"..", ".", "..")]


async def test_rclone_copies_and_checks_them_all(desk: ClientWorkspace) -> None:
    program = installed("rclone")
    names = [name for name in PLAIN if len(name) < 200]
    for number, name in enumerate(names):
        desk.file(b"tree/" + name, 1000 + number, number)
    here, there = f"{desk.local}/tree", f"alice:{desk.remote}/tree"
    (await desk.clients.rclone("copy", here, there, program=program)).ok()
    (await desk.clients.rclone("check", "--download", here, there, program=program)).ok()
    (await desk.clients.rclone("copy", there, f"{desk.local}/back", program=program)).ok()
    assert sorted(os.listdir(os.fsencode(desk.local / "back"))) == sorted(names)


async def test_lftp_mirrors_them_all(desk: ClientWorkspace) -> None:
    names = [name for name in PLAIN if not _is_odd(name)]
    for number, name in enumerate(names):
        desk.file(b"tree/" + name, 1000 + number, number)
    result = await desk.clients.lftp(
        f"mirror -R {desk.local}/tree {desk.remote}/tree", f"mirror {desk.remote}/tree {desk.local}/back"
    )
    result.ok()
    assert sorted(os.listdir(os.fsencode(desk.local / "back"))) == sorted(names)
    for number, name in enumerate(names):
        assert (desk.local / "back" / os.fsdecode(name)).read_bytes() == content(1000 + number, number)


async def test_directories_may_be_called_anything_too(desk: ClientWorkspace) -> None:
    remote = os.fsencode(desk.remote)
    file = quoted(str(desk.file("x")))
    for name in (b"a b+%#?*", b"back\\slash", b"latin1-\xff", "ü".encode()):
        there = quoted(remote + b"/" + name)
        result = await desk.clients.sftp(
            b"mkdir " + there,
            b"put " + file + b" " + quoted(remote + b"/" + name + b"/x"),
            b"rename " + there + b" " + quoted(remote + b"/plain"),
            b"rename " + quoted(remote + b"/plain") + b" " + there,
            b"rm " + quoted(remote + b"/" + name + b"/x"),
            b"rmdir " + there,
        )
        result.ok()
    assert await desk.keys() == []


async def test_a_key_of_more_than_1024_bytes_is_refused_clearly(desk: ClientWorkspace) -> None:
    file = desk.file("x")
    room = 1024 - len(desk.key_prefix)
    fits = "/".join(["d" * 200] * 4) + "/" + "f" * (room - 4 * 201)
    too_long = fits + "f"
    parents = ["/".join(["d" * 200] * depth) for depth in range(1, 5)]
    mkdirs = [f"mkdir {desk.remote}/{parent}" for parent in parents]
    (await desk.clients.sftp(*mkdirs, f"put {file} {desk.remote}/{fits}")).ok()
    assert fits in await desk.keys()
    for line in (
        f"put {file} {desk.remote}/{too_long}",
        f"rename {desk.remote}/{fits} {desk.remote}/{too_long}",
    ):
        (await desk.clients.sftp(line)).failed()
    assert [key for key in await desk.keys() if not key.endswith("/")] == [fits]
    await asyncio.to_thread(_is_refused_as_too_long, desk, f"{desk.remote}/{too_long}")


def _is_refused_as_too_long(desk: ClientWorkspace, path: str) -> None:
    # OpenSSH prints a text of its own for each status; paramiko shows what the server said.
    with desk.clients.paramiko() as sftp:
        for ask in (sftp.stat, sftp.mkdir, lambda path: sftp.put(os.devnull, path)):
            with pytest.raises(OSError, match="too long"):
                ask(path)
