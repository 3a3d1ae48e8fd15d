"""`s3sftp serve --backend local`: a directory of this machine, with real clients and several workers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
import pytest

from tests.cli.program import Running, batch, running, scp, sftp_command, write_key_pair
from tests.docs.pages import blocks_of
from tests.support.commands import installed


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "served"
    directory.mkdir()
    return directory


@pytest.fixture(params=["1", "2"], ids=["one worker", "two workers"])
def server(request: pytest.FixtureRequest, tmp_path: Path, root: Path) -> Iterator[Running]:
    key = tmp_path / "key"
    write_key_pair(key)
    words = ["serve", "--backend", "local", "--host", "127.0.0.1", "--port", "0"]
    words += ["--state-dir", str(tmp_path / "state"), "--workers", request.param]
    words += ["--user", "alice", "--authorized-keys", f"{key}.pub"]
    with running(*words, directory=tmp_path, S3SFTP_LOCAL__ROOT=str(root)) as server:
        server.wait_event("started")
        yield server


def test_openssh_sftp_works_on_a_directory(server: Running, root: Path, tmp_path: Path) -> None:
    data = bytes(range(256)) * 20_000
    (tmp_path / "local").write_bytes(data)
    lines = f"""mkdir d
put {tmp_path}/local d/file
rename d/file d/other
get d/other {tmp_path}/back
rm d/other
put {tmp_path}/local kept
rmdir d
"""
    done = batch(sftp_command(server.port, tmp_path / "key"), lines)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "back").read_bytes() == data
    assert {file.name: file.read_bytes() for file in root.iterdir()} == {"kept": data}


def test_openssh_scp_works_on_a_directory(server: Running, root: Path, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"by scp")
    done = scp(server.port, tmp_path / "key", str(tmp_path / "local"), "alice@127.0.0.1:file")
    assert done.returncode == 0, done.stderr
    assert (root / "file").read_bytes() == b"by scp"


def test_a_link_to_outside_leads_nowhere(server: Running, root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "link").symlink_to(tmp_path / "secret")
    done = batch(sftp_command(server.port, tmp_path / "key"), f"get link {tmp_path}/stolen\n")
    assert done.returncode != 0
    assert not (tmp_path / "stolen").exists()


def test_rclone_works_on_a_directory(server: Running, root: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("a", "sub/b", "sub/deep/c"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(name.encode() * 1000)
    remote = f":sftp,host=127.0.0.1,port={server.port},user=alice,key_file={tmp_path}/key,shell_type=none:"
    for words in (["copy", str(tree), f"{remote}to"], ["check", "--download", str(tree), f"{remote}to"]):
        command = [installed("rclone"), "--config", str(tmp_path / "none"), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    assert (root / "to/sub/deep/c").read_bytes() == b"sub/deep/c" * 1000


@contextmanager
def paramiko_on(server: Running, key: Path) -> Iterator[paramiko.SFTPClient]:
    """A connection of its own."""
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(
            "127.0.0.1", server.port, "alice", key_filename=str(key), look_for_keys=False, allow_agent=False
        )
        with client.open_sftp() as sftp:
            yield sftp


def test_paramiko_works_on_a_directory(server: Running, root: Path, tmp_path: Path) -> None:
    data = bytes(range(256)) * 20_000
    (tmp_path / "local").write_bytes(data)
    with paramiko_on(server, tmp_path / "key") as sftp:
        sftp.mkdir("d")
        assert sftp.put(str(tmp_path / "local"), "d/file", confirm=True).st_size == len(data)
        sftp.utime("d/file", (1_000_000_000, 1_000_000_000))
        sftp.posix_rename("d/file", "file")
        with sftp.open("file", "a") as stream:
            stream.write(b"more")
        with sftp.open("file", "rb") as stream:
            stream.seek(len(data) - 1)
            assert stream.read() == b"\xffmore"
        assert [(each.filename, each.st_size) for each in sftp.listdir_attr(".") if each.filename != "d"] == [
            ("file", len(data) + 4)
        ]
        sftp.rmdir("d")
    assert {file.name: file.read_bytes() for file in root.iterdir()} == {"file": data + b"more"}


def test_of_two_exclusive_uploads_one_is_refused_whichever_workers_they_are_at(
    server: Running, root: Path, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    with paramiko_on(server, key) as one, paramiko_on(server, key) as other:
        first, second = one.open("file", "wx"), other.open("file", "wx")
        first.write(b"first")
        second.write(b"second")
        first.close()
        second.close()  # paramiko does not tell what CLOSE said
    assert (root / "file").read_bytes() == b"first"


def test_a_server_that_is_killed_in_mid_upload_leaves_the_old_file_and_nothing_else(
    server: Running, root: Path, tmp_path: Path
) -> None:
    (root / "old").write_bytes(b"old")
    with paramiko_on(server, tmp_path / "key") as sftp:
        streams = [sftp.open(name, "wb") for name in ("old", "new", "d/new")]  # kept: paramiko closes others
        for stream in streams:
            stream.write(bytes(5 << 20))
            stream.flush()
        server.process.kill()
        assert {file.name: file.read_bytes() for file in root.iterdir()} == {"old": b"old"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "local.root is missing: name the directory in [local], or as S3SFTP_LOCAL__ROOT"),
        ({"S3SFTP_LOCAL__ROOT": "/no/such"}, "/no/such"),
    ],
    ids=["no root", "a root that is not there"],
)
def test_a_root_that_cannot_be_served_ends_the_start(
    tmp_path: Path, given: dict[str, str], said: str
) -> None:
    write_key_pair(tmp_path / "key")
    words = ["serve", "--backend", "local", "--host", "127.0.0.1", "--port", "0", "--workers", "1"]
    words += ["--state-dir", str(tmp_path / "state")]
    words += ["--user", "alice", "--authorized-keys", f"{tmp_path}/key.pub"]
    with running(*words, directory=tmp_path, **given) as server:
        assert server.process.wait(30) != 0
        assert said in server.process.output()


def test_the_configuration_of_the_page_serves(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    write_key_pair(tmp_path / "key")
    (text,) = blocks_of("local-backend.md", "toml")
    for written, here in (("/srv/files", tmp_path / "root"), ("/etc/s3sftp/alice.pub", tmp_path / "key.pub")):
        text = text.replace(f'"{written}"', f'"{here}"')
    file = tmp_path / "s3sftp.toml"
    file.write_text(text)
    listen = ["--host", "127.0.0.1", "--port", "0", "--state-dir", str(tmp_path / "state")]
    with running("serve", "--config", str(file), *listen, directory=tmp_path) as running_server:
        done = batch(sftp_command(running_server.port, tmp_path / "key"), f"put {file} file\n")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "root/alice/file").read_text() == text
