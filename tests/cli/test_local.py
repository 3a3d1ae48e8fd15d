"""`s3sftp serve --backend local`: a directory of this machine, with real clients and several workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.command_process import Running, batch, paramiko_on, running, sftp_command, write_key_pair
from tests.docs.pages import blocks_of


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
        server.wait_event("server.started")
        yield server


def test_a_link_to_outside_leads_nowhere(server: Running, root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "link").symlink_to(tmp_path / "secret")
    done = batch(sftp_command(server.port, tmp_path / "key"), f"get link {tmp_path}/stolen\n")
    assert done.returncode != 0
    assert not (tmp_path / "stolen").exists()


def test_of_two_exclusive_uploads_one_is_refused_whichever_workers_they_are_at(
    server: Running, root: Path, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    with paramiko_on(server.port, key) as one, paramiko_on(server.port, key) as other:
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
    written = False
    with suppress(EOFError, OSError), paramiko_on(server.port, tmp_path / "key") as sftp:
        streams = [sftp.open(name, "wb") for name in ("old", "new", "d/new")]  # kept: paramiko closes others
        for stream in streams:
            stream.write(bytes(5 << 20))
            stream.flush()
        written = True
        server.process.kill()
    # paramiko cannot say goodbye to nobody
    assert written
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
