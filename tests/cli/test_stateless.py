"""Without a state directory it runs on a read-only root as any uid, with no home and no entry in passwd."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from s3sftp.errors import ConfigurationError
from s3sftp.ssh.host_keys import load
from testbed.raw_client import wire
from testbed.s3_store import Store
from tests.cli.command_process import write_key_pair
from tests.limits.operations import connect
from tests.support.commands import installed
from tests.support.logs import capture_events
from tests.support.s3_client import S3
from tests.support.server import PART_BYTES, Server

UID = "54321"
"""Of nobody on this machine."""
READ_ONLY = """
[ ! -d /var/lib/s3sftp ] || mount -t tmpfs tmpfs /var/lib/s3sftp
findmnt -rno TARGET | grep -v ^/proc | while read -r place; do
    mount -o remount,bind,ro "$place" 2>/dev/null
done
cd /
exec "$@"
"""
WITHOUT_STATE = {"server": {"state_dir": None, "workers": 2}}


def as_nobody_on_a_read_only_root(directory: Path) -> Sequence[str]:
    """The command in front of the one that is to be run so. Skips the test where that is not allowed."""
    unshare = installed("unshare")
    command = [
        *(unshare, "--map-root-user", "--mount", "sh", "-c", READ_ONLY, "sh"),
        # in a namespace of its own, so that the files of the checkout can be read whoever runs the tests
        *(unshare, "--user", f"--map-user={UID}", f"--map-group={UID}"),
        *("env", "-i", f"PATH={os.environ['PATH']}"),
    ]
    script = "id -u; " + "".join(
        f"touch {place}/x$$ 2>/dev/null && echo written; " for place in ("/tmp", "/dev/shm", directory)
    )
    shown = subprocess.run([*command, "sh", "-c", script], capture_output=True, text=True, check=False)
    if shown.stdout.split() != [UID]:
        message = f"A READ-ONLY ROOT IS NOT TESTED: {shown.stdout} {shown.stderr}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return command


@pytest.mark.parametrize("journal", ["bucket", "off"])
async def test_with_given_host_keys_it_serves_on_a_read_only_root_as_any_uid(
    store: Store, bucket: str, s3: S3, tmp_path: Path, journal: str
) -> None:
    options = WITHOUT_STATE | {"s3": {"journal": journal}}
    server = Server(tmp_path, store, bucket, options, as_nobody_on_a_read_only_root(tmp_path))
    data = bytes(2 * PART_BYTES + 1)
    try:
        await server.astart()
        async with await connect(server) as connection, wire(connection) as client:
            await client.put(b"/small", b"small")
            await client.put(b"/large", data)
            assert await client.get(b"/small") == b"small"
            assert await client.get(b"/large") == data
        server.terminate()
        assert await server.ended() == 0
        assert await s3.keys() == ["alice/large", "alice/small"]
        assert not (tmp_path / "state").exists()
    finally:
        await asyncio.to_thread(server.close)


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_journal_that_nobody_asked_for_is_done_without_where_nothing_can_be_written(
    store: Store, bucket: str, tmp_path: Path, workers: int
) -> None:
    options = {"server": {"state_dir": None, "workers": workers}}
    server = Server(tmp_path, store, bucket, options, as_nobody_on_a_read_only_root(tmp_path))
    try:
        await server.astart()
        async with await connect(server) as connection, wire(connection) as client:
            data = bytes(2 * PART_BYTES + 1)
            await client.put(b"/large", data)
            assert await client.get(b"/large") == data
        (told,) = server.events("journal.unavailable")
        assert told["level"] == "warning"
        assert "/var/lib/s3sftp/uploads, which cannot be written" in told["detail"]
        assert 'set s3.journal to "bucket"' in told["detail"]
        server.terminate()
        assert await server.ended() == 0
        assert "Traceback" not in server.output()
    finally:
        await asyncio.to_thread(server.close)


@pytest.mark.parametrize("asked", [{"s3": {"journal": "disk"}}, {}], ids=["journal", "state_dir"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_journal_on_a_disk_that_cannot_be_written_ends_the_start_and_says_what_would_be_right(
    store: Store, bucket: str, tmp_path: Path, workers: int, asked: dict[str, dict[str, object]]
) -> None:
    (tmp_path / "file").touch()
    options = asked | {"server": {"state_dir": str(tmp_path / "file" / "state"), "workers": workers}}
    server = Server(tmp_path / "server", store, bucket, options)
    try:
        with pytest.raises(RuntimeError, match="ended with 2"):
            server.start()
        told = server.output()
        assert "the configuration has 1 problem" in told
        assert told.count(f"{tmp_path}/file/state/uploads, which cannot be written") == 1
        assert "server.state_dir" in told
        assert 's3.journal to "bucket"' in told
    finally:
        server.close()


def test_without_host_keys_and_a_place_to_make_them_it_says_what_would_be_right(
    store: Store, bucket: str, tmp_path: Path
) -> None:
    options = WITHOUT_STATE | {"s3": {"journal": "off"}, "ssh": {"host_keys": None}}
    server = Server(tmp_path, store, bucket, options, as_nobody_on_a_read_only_root(tmp_path))
    try:
        with pytest.raises(RuntimeError, match="ended with 2"):
            server.start()
        assert "name the keys in ssh.host_keys" in server.output()
        assert "/var/lib/s3sftp" in server.output()
    finally:
        server.close()


@pytest.mark.parametrize("spool_dir", [None, "/nowhere"])
async def test_a_spool_that_cannot_be_written_is_an_error_of_the_upload_that_needs_it(
    store: Store, bucket: str, tmp_path: Path, spool_dir: str | None
) -> None:
    """And not of the start, nor of those that need none."""
    options = WITHOUT_STATE | {
        "s3": {"journal": "off"},
        "files": {"rewrite": "spool", "spool_dir": spool_dir},
    }
    server = Server(tmp_path, store, bucket, options, as_nobody_on_a_read_only_root(tmp_path))
    try:
        await server.astart()
        async with await connect(server) as connection, wire(connection) as client:
            await client.put(b"/small", b"small")
            with pytest.raises(Exception, match="Failure"):
                await client.put(b"/large", bytes(2 * PART_BYTES + 1))
            assert await client.get(b"/small") == b"small"
    finally:
        await asyncio.to_thread(server.close)


@contextmanager
def as_another_user() -> Iterator[None]:
    """With the rights of UID, in the group of the same number."""
    groups, group, user = os.getgroups(), os.getegid(), os.geteuid()
    os.setgroups([])
    os.setegid(int(UID))
    os.seteuid(int(UID))
    try:
        yield
    finally:
        os.seteuid(user)
        os.setegid(group)
        os.setgroups(groups)


@pytest.mark.parametrize("mode", [0o440, 0o640, 0o444, 0o644, 0o400])
def test_a_host_key_of_a_mounted_secret_is_read_in_each_mode_that_the_group_may_read(
    tmp_path: Path, mode: int
) -> None:
    """It is root's, the group's by `fsGroup`, and reached by two links, as Kubernetes mounts it."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to somebody else")
    kept = tmp_path / "keys" / "..2026_07_01"
    kept.mkdir(parents=True)
    write_key_pair(kept / "host")
    os.chown(kept / "host", 0, int(UID))
    (kept / "host").chmod(mode)
    (tmp_path / "keys" / "..data").symlink_to(kept.name)
    (tmp_path / "keys" / "host").symlink_to("..data/host")
    top = Path(tempfile.gettempdir())
    for directory in (tmp_path, *tmp_path.parents):
        if top in directory.parents:  # another user has to get there
            directory.chmod(0o755)
    with capture_events() as events, as_another_user():
        if mode == 0o400:
            with pytest.raises(ConfigurationError, match=r"cannot read host key .*: Permission denied"):
                load(tmp_path / "keys" / "host")
        else:
            load(tmp_path / "keys" / "host")
    warned = [event["event"] for event in events]
    assert warned == (["host_key.exposed"] if mode & 0o007 else [])
