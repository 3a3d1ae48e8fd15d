"""A storage that only has whole files takes and gives a large one within the server's memory limit."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.command_process import batch, running, sftp_command, write_key_pair
from tests.cli.installed_package import install

pytestmark = pytest.mark.timeout(600)  # for a disk that other tests use, too

MIB = 1 << 20
SIZE = 1024 * MIB
BUDGET = 64 * MIB
ALLOWED = BUDGET + 8 * MIB + 24 * MIB
"""The budget, a session's bytes (see test_memory.py), and what is held before a spool is begun, with what
the allocator keeps of it."""


def private_bytes(pid: int) -> int:
    """Memory that is the process' own: pages of files that are mapped can be taken from it any time."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(row.split()[1] for row in status.splitlines() if row.startswith("RssAnon:"))) * 1024


@contextmanager
def watching(pid: int) -> Iterator[list[int]]:
    """The private bytes of a process, again and again."""
    seen, done = [private_bytes(pid)], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            seen.append(private_bytes(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "blake2b").hexdigest()


def test_a_gibibyte_goes_up_and_down_within_the_memory_limit(tmp_path: Path) -> None:
    local, back, root = tmp_path / "local", tmp_path / "back", tmp_path / "vault"
    root.mkdir()
    piece = os.urandom(MIB)
    with local.open("wb") as file:
        for number in range(SIZE // MIB):  # no two pieces the same
            file.write(number.to_bytes(8, "big") + piece[8:])
    source = (Path(__file__).parent / "whole_file_storage.py").read_text("utf-8")
    path = install(tmp_path / "site", source, {"vault": "acme_vault:Vault"}, package="acme-vault")
    write_key_pair(tmp_path / "key")
    options = {
        "S3SFTP_BACKEND_OPTIONS__ROOT": str(root),
        "S3SFTP_FILES__BUFFER_BYTES": str(BUDGET),
        "S3SFTP_FILES__SPOOL_DIR": str(tmp_path),
        "PYTHONPATH": path,
    }
    flags = ["--backend", "vault", "--host", "127.0.0.1", "--port", "0", "--state-dir", str(tmp_path / "s")]
    user = ["--user", "alice", "--authorized-keys", str(tmp_path / "key.pub")]
    try:
        with running("serve", *flags, *user, directory=tmp_path, **options) as server:
            sftp = [*sftp_command(server.port, tmp_path / "key")]
            assert batch(sftp, "pwd\n").returncode == 0  # all of its code is loaded
            time.sleep(0.5)
            with watching(server.process.pid) as seen:
                done = batch(sftp, f"put {local} file\nget file {back}\n", seconds=500)
        assert done.returncode == 0, done.stderr
        assert digest(local) == digest(root / "file") == digest(back)
        grown = max(seen) - seen[0]
        assert grown < ALLOWED, f"grew by {grown / MIB:.0f} MiB of {ALLOWED / MIB:.0f}"
        assert len(seen) > 100
    finally:
        for large in (local, back):
            large.unlink(missing_ok=True)
        shutil.rmtree(root)
