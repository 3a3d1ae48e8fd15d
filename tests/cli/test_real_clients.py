"""OpenSSH's sftp and scp, rclone and paramiko on each storage that is no bucket, served by the command."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.backends.service.service_processes import process_of, reference, short_directory
from tests.cli.command_process import Running, batch, paramiko_on, running, scp, sftp_command, write_key_pair
from tests.support.commands import installed

DATA = bytes(range(256)) * 20_000
STORAGES = ("memory", "local, one worker", "local, two workers", "service, two workers")


@dataclass(frozen=True)
class Served:
    """A server, whose only user is alice."""

    server: Running
    directory: Path
    """For files of the client; `key` is alice's."""
    root: Path | None
    """Where the storage has its files; None: in its memory."""

    @property
    def key(self) -> Path:
        return self.directory / "key"

    def file(self, name: str, data: bytes) -> Path:
        (self.directory / name).write_bytes(data)
        return self.directory / name

    def stores(self, files: dict[str, bytes]) -> bool:
        """Whether the storage has these files and no others, as far as one can see past the server."""
        if self.root is None:
            return True
        found = [file for file in self.root.rglob("*") if file.is_file()]
        return {str(file.relative_to(self.root)): file.read_bytes() for file in found} == files


@pytest.fixture(scope="module", params=STORAGES)
def shared(request: pytest.FixtureRequest) -> Iterator[Served]:
    name, _, workers = request.param.partition(", ")
    with ExitStack() as stack:
        directory = stack.enter_context(short_directory())
        root, socket = directory / "root", directory / "socket"
        root.mkdir()
        write_key_pair(directory / "key")
        if name == "service":
            stack.enter_context(process_of(socket, *reference(socket, root)))
        flags = ["--backend", name, "--workers", "2" if workers == "two workers" else "1"]
        flags += ["--host", "127.0.0.1", "--port", "0", "--state-dir", str(directory / "state")]
        flags += ["--user", "alice", "--authorized-keys", f"{directory}/key.pub"]
        options = {
            "memory": {},
            "local": {"S3SFTP_LOCAL__ROOT": str(root)},
            "service": {"S3SFTP_SERVICE__SOCKET": str(socket)},
        }
        server = stack.enter_context(running("serve", *flags, directory=directory, **options[name]))
        server.wait_event("server.started")
        yield Served(server, directory, None if name == "memory" else root)
        assert "Traceback" not in server.process.output()


@pytest.fixture
def served(shared: Served) -> Iterator[Served]:
    """With nothing stored, but for what cannot be got at in memory."""
    yield shared
    for stored in shared.root.iterdir() if shared.root else ():
        shutil.rmtree(stored) if stored.is_dir() else stored.unlink()


def test_openssh_sftp_works(served: Served) -> None:
    local, back = served.file("local", DATA), served.directory / "back"
    lines = f"""mkdir d
put {local} d/file
rename d/file d/other
get d/other {back}
rm d/other
put {local} kept
rmdir d
"""
    done = batch(sftp_command(served.server.port, served.key), lines)
    assert done.returncode == 0, done.stderr
    assert back.read_bytes() == DATA
    assert served.stores({"kept": DATA})


def test_openssh_scp_works(served: Served) -> None:
    """It opens without TRUNC, and sets the size at the end."""
    long, short = served.file("long", b"the old one, which is longer"), served.file("short", b"by scp")
    back, remote = served.directory / "back", "alice@127.0.0.1:file"
    for source, target in ((long, remote), (short, remote), (remote, back)):
        done = scp(served.server.port, served.key, str(source), str(target))
        assert done.returncode == 0, done.stderr
    assert back.read_bytes() == b"by scp"
    assert served.stores({"file": b"by scp"})


def test_rclone_works(served: Served) -> None:
    tree, files = served.directory / "tree", ("a", "sub/b", "sub/deep/c")
    for name in files:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(name.encode() * 1000)
    port = served.server.port
    remote = f":sftp,host=127.0.0.1,port={port},user=alice,key_file={served.key},shell_type=none:to"
    for words in (["copy", str(tree), remote], ["check", "--download", str(tree), remote]):
        command = [installed("rclone"), "--config", str(served.directory / "none"), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    assert served.stores({f"to/{name}": name.encode() * 1000 for name in files})


def test_paramiko_works(served: Served) -> None:
    with paramiko_on(served.server.port, served.key) as sftp:
        sftp.mkdir("own")
        sftp.chdir("own")
        sftp.mkdir("d")
        assert sftp.put(str(served.file("local", DATA)), "d/file", confirm=True).st_size == len(DATA)
        sftp.posix_rename("d/file", "file")
        with sftp.open("file", "a") as stream:
            stream.write(b"more")
        with sftp.open("file", "rb") as stream:
            stream.seek(len(DATA) - 1)
            assert stream.read() == b"\xffmore"
        assert sorted(sftp.listdir(".")) == ["d", "file"]
        sftp.rmdir("d")
    assert served.stores({"own/file": DATA + b"more"})
