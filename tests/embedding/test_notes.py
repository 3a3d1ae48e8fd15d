"""examples/notes.py: 25 lines are enough for real clients."""

from __future__ import annotations

import asyncio
from pathlib import Path

from examples.notes import Notes
from s3sftp.backends import Place
from tests.embedding.password_clients import PASSWORD, openssh, paramiko_sftp, server_of, write
from tests.support.commands import installed, run

DATA = bytes(range(256)) * 4000


def contents(notes: Notes) -> dict[bytes, bytes]:
    return {place.key: data for place, data in notes.notes.items() if data is not None}


async def test_openssh_sftp_does_everything_on_it(tmp_path: Path) -> None:
    local, half = write(tmp_path / "local", DATA), write(tmp_path / "half", DATA[:300_000])
    start = write(tmp_path / "start", DATA[:300_000])
    notes = Notes()
    async with server_of(notes) as server:
        done = await openssh(
            server.port,
            "mkdir d",
            f"put {local} d/file",
            f"reget d/file {half}",
            f"put {start} d/resumed",
            f"reput {local} d/resumed",
            "rename d/file d/other",
            "ls -l d",
            "-rmdir d",
            f"put {local} doomed",
            "rm doomed",
            "mkdir empty",
            "rmdir empty",
        )
    assert done.status == 0, done.text
    assert half.read_bytes() == DATA
    assert contents(notes) == {b"d/other": DATA, b"d/resumed": DATA}
    assert f"{len(DATA)}" in done.text
    assert Place((b"empty",)) not in notes.notes
    assert Place((b"d",)) in notes.notes


async def test_paramiko_works_on_it(tmp_path: Path) -> None:
    local, notes = write(tmp_path / "local", DATA), Notes()

    def work(port: int) -> bytes:
        with paramiko_sftp(port) as sftp:
            sftp.put(str(local), "file", confirm=True)
            with sftp.open("file", "ab") as file:
                file.write(b"more")
            with sftp.open("file", "rb") as file:
                file.seek(-6, 2)
                return file.read()

    async with server_of(notes) as server:
        assert await asyncio.to_thread(work, server.port) == DATA[-2:] + b"more"
    assert contents(notes) == {b"file": DATA + b"more"}


async def test_rclone_works_on_it(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("a", "sub/b", "sub/deep/c"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(name.encode() * 1000)
    rclone, notes = installed("rclone"), Notes()
    secret = (await run([rclone, "obscure", PASSWORD])).out.decode().strip()
    async with server_of(notes) as server:
        to = f":sftp,host=127.0.0.1,port={server.port},user=alice,pass={secret},shell_type=none:to"
        for words in (
            ["copy", str(tree), to],
            ["check", "--download", str(tree), to],
            ["purge", f"{to}/sub"],
        ):
            done = await run([rclone, "--config", str(tmp_path / "none"), *words])
            assert done.status == 0, done.text
    assert contents(notes) == {b"to/a": b"a" * 1000}
