"""`s3sftp serve --backend service`: a storage in a process of its own, which is killed and comes back.

The service is the example that knows nothing of s3sftp.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import paramiko
import pytest

from s3sftp.app.options import load_options
from s3sftp.config import Setting
from s3sftp.errors import ConfigurationError
from testbed.processes import Process
from tests.backends.service.service_processes import process_of, reference, short_directory
from tests.cli.command_process import (
    Running,
    paramiko_on,
    running,
    s3sftp,
    sftp_command,
    wait_until,
    write_key_pair,
)

MIB = 1 << 20
NOT_THERE = "storage service is not there"


@dataclass
class Place:
    """Where a service listens, what it stores, and who may log in to its server."""

    directory: Path

    @property
    def socket(self) -> Path:
        return self.directory / "socket"

    @property
    def root(self) -> Path:
        return self.directory / "root"

    @property
    def key(self) -> Path:
        return self.directory / "key"

    def file(self, name: str, data: bytes) -> Path:
        (self.directory / name).write_bytes(data)
        return self.directory / name

    def service(self):  # type: ignore[no-untyped-def]
        return process_of(self.socket, *reference(self.socket, self.root))

    def server(self, *words: str, **environ: str):  # type: ignore[no-untyped-def]
        flags = ["serve", "--backend", "service", "--host", "127.0.0.1", "--port", "0", *words]
        flags += ["--state-dir", str(self.directory / "state")]
        flags += ["--user", "alice", "--authorized-keys", f"{self.key}.pub"]
        environ = {"S3SFTP_SERVICE__SOCKET": str(self.socket), "S3SFTP_LOG__LEVEL": "debug"} | environ
        return running(*flags, directory=self.directory, **environ)


@contextmanager
def new_place() -> Iterator[Place]:
    with short_directory() as directory:
        (directory / "root").mkdir()
        write_key_pair(directory / "key")
        yield Place(directory)


@pytest.fixture
def place() -> Iterator[Place]:
    with new_place() as place:
        yield place


@pytest.fixture
def service(place: Place) -> Iterator[Process]:
    with place.service() as process:
        yield process


@pytest.fixture
def server(place: Place, service: Process) -> Iterator[Running]:
    """A server of its own."""
    with place.server("--workers", "1") as server:
        server.wait_event("server.started")
        yield server
        assert "Traceback" not in server.process.output() + service.output()


def test_a_service_killed_in_mid_upload_is_told_and_publishes_nothing_and_works_when_it_is_back(
    server: Running, place: Place, service: Process
) -> None:
    place.file("root/old", b"old")
    with paramiko_on(server.port, place.key) as sftp:
        with pytest.raises(OSError, match=NOT_THERE), sftp.open("old", "wb") as stream:
            write_until_it_fails(stream, after=3 * MIB, then=service.kill)
        began = time.monotonic()
        with pytest.raises(OSError, match=NOT_THERE):
            sftp.listdir(".")
        assert time.monotonic() - began < 20
        assert {file.name: file.read_bytes() for file in place.root.iterdir()} == {"old": b"old"}

        with place.service():
            wait_until(lambda: works(sftp), 30, "the service to be found again")
            sftp.put(str(place.file("local", b"new")), "old")  # in the same session of the same server
            assert {file.name: file.read_bytes() for file in place.root.iterdir()} == {"old": b"new"}
            assert list(place.root.with_name("root.unfinished").iterdir()) == []
    assert server.process.exit_status is None
    server.wait_event("service.disconnected")


def test_openssh_is_told_of_a_service_killed_in_mid_upload(
    server: Running, place: Place, service: Process
) -> None:
    local = place.file("local", bytes(64 * MIB))
    command = sftp_command(server.port, place.key)
    command[1:1] = ["-l", "80000"]  # 10 MB/s: it takes some seconds
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
        assert client.stdin is not None
        client.stdin.write(f"put {local} new\n")
        client.stdin.flush()
        wait_until(lambda: any_bytes_in(place.root.with_name("root.unfinished")), 30, "an upload")
        service.kill()
        _, said = client.communicate(timeout=60)
    assert client.returncode != 0
    assert "Failure" in said or NOT_THERE in said
    assert list(place.root.iterdir()) == []


def test_a_service_that_is_not_there_at_the_start_may_come_later(place: Place) -> None:
    with place.server("--workers", "1") as server:
        server.wait_event("server.started")
        server.wait_event("service.unreachable")
        with paramiko_on(server.port, place.key) as sftp:
            with pytest.raises(OSError, match=NOT_THERE):
                sftp.stat("file")
            place.file("root/file", b"there")
            with place.service():
                wait_until(lambda: works(sftp), 30, "the service to be found")
                assert sftp.stat("file").st_size == 5


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"socket": "relative"}, "service.socket = 'relative' (here): should be an absolute path"),
        ({"socket": "/" + "x" * 120}, "should have at most 103 bytes"),
        ({"socket": "/a", "call_timeout": 0}, "should be longer than zero"),
        ({"call_timeout": 1}, "service.socket is missing"),
        ({}, "service.socket is missing: name it in [service], or as S3SFTP_SERVICE__SOCKET"),
    ],
    ids=["relative", "too long", "no time", "no socket", "nothing"],
)
def test_options_that_are_wrong_are_told_by_name(given: dict[str, object], said: str) -> None:
    flags = [Setting(("backend",), "service", "here")]
    flags += [Setting(("service", name), value, "here") for name, value in given.items()]
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        load_options(environ={}, flags=flags, needs_users=False)


@pytest.mark.parametrize(
    ("workers", "speaks", "said"),
    [
        ("1", {"hello": "something else"}, "does not speak s3sftp-storage"),
        ("2", {"hello": "s3sftp-storage", "version": 2}, "speaks version 2 of s3sftp-storage, this is 1"),
    ],
    ids=["something else", "another version"],
)
def test_a_service_that_is_not_understood_ends_the_start(
    place: Place, workers: str, speaks: dict[str, object], said: str
) -> None:
    script = f"""
import asyncio, msgpack, struct
frame = msgpack.packb({speaks!r})
async def serve(reader, writer):
    writer.write(struct.pack(">I", len(frame)) + frame)
    await reader.read()
    writer.close()
async def main():
    server = await asyncio.start_unix_server(serve, {str(place.socket)!r})
    await server.serve_forever()
asyncio.run(main())
"""
    with process_of(place.socket, "-c", script), place.server("--workers", workers) as server:
        assert server.process.wait(30) == 1
        assert said in server.process.output()


def test_without_msgpack_the_start_says_what_to_install(place: Place) -> None:
    hidden = place.directory / "hidden"
    hidden.mkdir()
    (hidden / "msgpack.py").write_text("raise ImportError\n")
    root = Path(__file__).parents[2]
    with place.server("--workers", "1", PYTHONPATH=f"{hidden}:{root}") as server:
        assert server.process.wait(30) == 2
        assert "pip install 's3sftp[service]'" in server.process.output()


def test_check_tells_whether_the_service_is_there(place: Place) -> None:
    words = ("check", "--backend", "service")
    away = s3sftp(*words, S3SFTP_SERVICE__SOCKET=str(place.socket))
    assert away.returncode == 1
    assert NOT_THERE in away.stdout
    assert "not ready yet" in away.stdout
    with place.service():
        there = s3sftp(*words, S3SFTP_SERVICE__SOCKET=str(place.socket))
    assert there.returncode == 0, there.stdout


def write_until_it_fails(stream: paramiko.SFTPFile, after: int, then) -> None:  # type: ignore[no-untyped-def]
    """Write, call `then` on the way, and go on."""
    piece = bytes(256 << 10)
    for at in range(0, 64 * MIB, len(piece)):
        if at == after:
            then()
        stream.write(piece)


def works(sftp: paramiko.SFTPClient) -> bool:
    try:
        sftp.listdir(".")
    except OSError:
        return False
    return True


def any_bytes_in(directory: Path) -> bool:
    return any(file.stat().st_size for file in directory.iterdir())
