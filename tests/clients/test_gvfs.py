"""gvfs, of GNOME's file manager: `gio` on a session bus of its own. It speaks through OpenSSH's ssh."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests.support.client_workspace import ClientWorkspace, content
from tests.support.commands import Result, installed, run

LARGE = 6_000_007
BACKENDS = ("/usr/libexec/gvfsd-sftp", "/usr/lib/gvfs/gvfsd-sftp")


async def _gio(desk: ClientWorkspace, *lines: str) -> Result:
    """A shell script on a bus of its own; `$at` is the workspace's directory as gio names it."""
    server = desk.server
    gio = installed("gio")
    bus = installed("dbus-run-session")
    installed("gvfsd-sftp", path=next((path for path in BACKENDS if Path(path).exists()), BACKENDS[0]))
    ssh = desk.local.parent / "home/bin/ssh"
    ssh.parent.mkdir(parents=True, exist_ok=True)
    # ssh reads the files of the real user whatever HOME says; this one does not
    ssh.write_text(
        f'#!/bin/sh\nexec "{installed("ssh")}" -F none -o UserKnownHostsFile={server.known_hosts}'
        f' -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -i {server.key_file} "$@"\n'
    )
    ssh.chmod(0o700)
    root = f"sftp://{server.user}@{server.host}:{server.port}"
    script = "\n".join(("set -eu", f"at={root}{desk.remote}", f"{gio} mount {root}/", *lines))
    # sockets lie there, whose paths may have a hundred characters: pytest's directories have as many
    with tempfile.TemporaryDirectory(prefix="gvfs-", ignore_cleanup_errors=True) as runtime:
        environment = {
            "HOME": str(ssh.parents[1]),
            "XDG_RUNTIME_DIR": runtime,
            "PATH": f"{ssh.parent}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
        }
        return await run([bus, "--", "sh", "-c", script], environment, timeout=90)


async def test_put_get_and_the_rest(partner_desk: ClientWorkspace) -> None:
    desk = partner_desk
    small, large = desk.file("small"), desk.file("large", LARGE)
    result = await _gio(
        desk,
        'gio mkdir -p "$at/a/b"',
        f'gio copy {small} "$at/a/small"',
        f'gio copy {large} "$at/a/b/large"',
        f'gio copy "$at/a/b/large" {desk.local}/back',
        'gio list -l "$at/a/b"',
        'gio info "$at/a/small"',
        'gio rename "$at/a/small" renamed',
        'gio cat "$at/a/renamed" | wc -c',
        'gio remove "$at/a/renamed"',
        'gio move "$at/a/b/large" "$at/kept"',
        'gio remove "$at/a/b" "$at/a"',
    )
    said = result.ok().text
    assert f"{LARGE}" in said
    assert "unix::mode: 33" in said
    assert "\n1000\n" in said
    assert (desk.local / "back").read_bytes() == content(LARGE)
    assert await desk.body("kept") == content(LARGE)
    assert await desk.keys() == ["kept"]


async def test_a_directory_has_a_time(partner_desk: ClientWorkspace) -> None:
    await partner_desk.put("d/x", b"x")
    said = (await _gio(partner_desk, 'gio info -a time::modified "$at/d"')).ok().text
    seconds = int(said.partition("time::modified: ")[2].split()[0])
    assert seconds > 946_684_800


async def test_a_copy_onto_a_file_that_is_there(partner_desk: ClientWorkspace) -> None:
    desk = partner_desk
    await desk.put("x", b"old")
    (await _gio(desk, f'gio copy {desk.file("x")} "$at/x"')).ok()
    assert await desk.body("x") == content(1000)


async def test_bytes_from_a_pipe(partner_desk: ClientWorkspace) -> None:
    (await _gio(partner_desk, 'printf first | gio save "$at/x"', 'printf second | gio save -a "$at/x"')).ok()
    assert await partner_desk.body("x") == b"firstsecond"


async def test_a_tree(partner_desk: ClientWorkspace) -> None:
    await partner_desk.put("seeded/inner.txt", b"inner")
    assert "inner.txt" in (await _gio(partner_desk, 'gio tree "$at"')).ok().text


@pytest.mark.parametrize("command", ['gio cat "$at/none"', 'gio info "$at/none"', 'gio list "$at/none"'])
async def test_what_is_missing_is_called_so(partner_desk: ClientWorkspace, command: str) -> None:
    assert "No such file or directory" in (await _gio(partner_desk, command)).failed().text
