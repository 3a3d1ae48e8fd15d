"""docs/custom-backends.md: its blocks run, its storages keep what they promise, its tables are true."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from s3sftp import errors
from s3sftp.backends import Backend, FileInfo, Place, Session
from s3sftp.backends.errno_map import ERROR_OF_NAME
from s3sftp.errors import PermissionDenied, StorageError
from s3sftp.fs import FileOptions
from s3sftp.sftp.status import STATUS_OF
from s3sftp.testing import NO_TIMES, BackendPromises
from tests.backends.minimal_backends import WholeFiles
from tests.cli.command_process import batch, running, s3sftp, sftp_command, write_key_pair
from tests.cli.installed_package import ROOT, install
from tests.docs.pages import DOCS, blocks_of, run_blocks
from tests.embedding.password_clients import connect, openssh, server_of
from tests.support.logs import capture_events

PAGE = "custom-backends.md"
TEXT = (DOCS / PAGE).read_text("utf-8")
_names: dict[str, Any] = {}


async def names_of_the_page() -> Mapping[str, Any]:
    """What its blocks have left; they run once."""
    if not _names:
        _, names = await run_blocks(PAGE)
        _names.update(names)
    return _names


async def test_every_block_of_the_page_runs() -> None:
    count, names = await run_blocks(PAGE)
    assert count >= 12
    assert issubclass(names["TestStreaming"], BackendPromises)


def test_the_first_storage_has_25_lines_and_is_the_example() -> None:
    shown = blocks_of(PAGE, "python")[0]
    assert (ROOT / "examples" / "notes.py").read_text("utf-8").endswith(shown)
    assert len([line for line in shown.splitlines() if line.strip()]) <= 25


class TestShelf(BackendPromises):
    """The storage that says what is wrong."""

    exempt = NO_TIMES

    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Backend]:
        yield (await names_of_the_page())["Shelf"]()


class TestReadable(TestShelf):
    """The one that reads parts."""

    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Backend]:
        yield (await names_of_the_page())["Readable"]()


class TestStreaming(BackendPromises):
    """The one that streams: the page's own class of tests, in effect."""

    @asynccontextmanager
    async def open_storage(self) -> AsyncIterator[Backend]:
        yield (await names_of_the_page())["Streaming"]()


def test_the_kit_finds_what_the_first_storage_does_wrong(tmp_path: Path) -> None:
    class_of_tests = blocks_of(PAGE, "python")[-1].replace("Streaming", "Notes")
    (tmp_path / "test_notes.py").write_text(f"from examples.notes import Notes\n{class_of_tests}")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no", str(tmp_path)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    counts = re.search(r"(\d+) failed, (\d+) passed", done.stdout)
    assert counts, done.stdout + done.stderr
    assert int(counts[1]) >= 24 < int(counts[2])


# the table of errors


def rows() -> list[tuple[str, str, str, str]]:
    """Error, POSIX names, status, what OpenSSH prints."""
    found = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (\w+ \(\d\)) \| ([^|]+) \|$", TEXT, re.M)
    assert len(found) == len(STATUS_OF) - 1  # all but the root of the tree
    return found


@pytest.mark.parametrize(("error", "names", "status", "printed"), rows(), ids=lambda each: each[:14])
async def test_an_error_becomes_what_the_table_says(
    error: str, names: str, status: str, printed: str
) -> None:
    kind = getattr(errors, error)
    assert f"{STATUS_OF[kind].name} ({STATUS_OF[kind]})" == status
    listed = set(re.findall(r"E[A-Z]+", names))
    assert listed == {name for name, meant in ERROR_OF_NAME.items() if meant is kind}

    class Failing(WholeFiles):
        async def make_dir(self, place: Place, session: Session) -> None:
            raise kind

    async with server_of(Failing()) as server:
        done = await openssh(server.port, "mkdir d")
    assert done.status != 0
    assert done.err.decode().strip().endswith(f": {printed}"), done.text


async def test_each_posix_name_is_told_as_the_table_says() -> None:
    expected = {name: printed for _, names, _, printed in rows() for name in re.findall(r"E[A-Z]+", names)}
    expected["ENOTCONN"] = expected["EIO"]  # one of all others

    class Posix(WholeFiles):
        async def make_dir(self, place: Place, session: Session) -> None:
            raise OSError(getattr(errno, place.name.decode()), "not for strangers", "/srv/secret")

    async with server_of(Posix()) as server:
        done = await openssh(server.port, *(f"-mkdir {name}" for name in expected))
    told = re.findall(r'^remote mkdir "/(\w+)": (.+?)\r?$', done.err.decode(), re.M)
    assert dict(told) == expected
    assert "secret" not in done.text


async def test_get_asks_first_whether_the_file_is_there_and_says_only_that_it_is_not() -> None:
    class Closed(WholeFiles):
        async def file_info(self, place: Place, session: Session) -> FileInfo:
            raise PermissionDenied

    assert '`get` says "not found" for any error' in TEXT
    async with server_of(Closed()) as server:
        done = await openssh(server.port, "get file /dev/null")
    assert done.err.decode().strip() == 'File "/file" not found.'


async def test_what_nobody_foresaw_reaches_the_client_as_a_reference() -> None:
    class Mistaken(WholeFiles):
        async def make_dir(self, place: Place, session: Session) -> None:
            raise RuntimeError("the password is 1234")

    with capture_events() as log:
        async with server_of(Mistaken()) as server:
            done = await openssh(server.port, "mkdir d")
            async with await connect(server.port) as connection, connection.start_sftp_client() as sftp:
                with pytest.raises(asyncssh.SFTPFailure) as failed:
                    await sftp.mkdir("d")
    assert done.err.decode().strip() == 'remote mkdir "/d": Failure'
    reference = re.fullmatch(r"Failure: internal error, reference ([0-9a-f]+)", failed.value.reason)
    assert reference, failed.value.reason
    (logged,) = [event for event in log if event.get("reference") == reference[1]]
    assert "Traceback" in logged["exception"]
    assert "the password is 1234" in logged["exception"]


def test_the_page_says_the_numbers_that_there_are() -> None:
    assert FileOptions().spool_bytes == 1 << 30
    assert "`files.spool_bytes` (1 GiB)" in TEXT
    from s3sftp.backends.complete import spooled_buffer

    assert f"in memory up to {spooled_buffer._EACH_BYTES >> 20} MiB" in TEXT
    assert f'"{errors.NotEmpty.default_text}"' in TEXT
    assert isinstance(errors.NotEmpty(), StorageError)


# publishing


def test_it_is_published_and_served_as_the_page_says(tmp_path: Path) -> None:
    project, configuration = map(tomllib.loads, blocks_of(PAGE, "toml"))
    package = project["project"]
    entries = package["entry-points"]["s3sftp.backends"]
    needed = ("from s3sftp.backends import Backend, Entry", "import time", "from itertools")
    source = "".join(block for block in blocks_of(PAGE, "python") if block.startswith(needed))
    path = install(tmp_path / "site", source, entries, package=package["name"])
    (tmp_path / "s3sftp.toml").write_text(blocks_of(PAGE, "toml")[1])
    assert configuration["backend"] in entries

    write_key_pair(tmp_path / "key")
    file = str(tmp_path / "s3sftp.toml")
    check, serve = (line.split()[2:] for line in blocks_of(PAGE, "console")[0].splitlines())
    check, serve = ([file if word == "s3sftp.toml" else word for word in each] for each in (check, serve))
    checked = s3sftp(*check, PYTHONPATH=path)
    assert checked.returncode == 0, checked.stdout + checked.stderr

    user = ["--user", "alice", "--authorized-keys", str(tmp_path / "key.pub")]
    listen = ["--host", "127.0.0.1", "--port", "0", "--state-dir", str(tmp_path / "state")]
    (tmp_path / "local").write_bytes(b"content")
    with running(*serve, *user, *listen, directory=tmp_path, PYTHONPATH=path) as server:
        done = batch(
            sftp_command(server.port, tmp_path / "key"),
            f"put {tmp_path}/local d\nget d {tmp_path}/back\nrm d\n",
        )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "back").read_bytes() == b"content"
