"""`rclone serve s3`: a store that ignores conditions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from testbed.processes import free_port, program, temporary_directory
from testbed.s3_store import Store
from tests.support.store_process import running_store

ACCESS_KEY = "AKIASLOPPYSTORE00001"
SECRET_KEY = "the-secret-of-a-sloppy-store"


@contextmanager
def running_rclone() -> Iterator[Store]:
    """Run it on a temporary directory, without a bucket."""
    rclone = program("rclone")
    assert rclone is not None
    with temporary_directory("rclone-") as directory:
        (directory / "data").mkdir()
        port = free_port()
        where = ["--addr", f"127.0.0.1:{port}", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"]
        command = [rclone, "serve", "s3", *where, str(directory / "data")]
        store = Store("rclone", f"http://127.0.0.1:{port}", ACCESS_KEY, SECRET_KEY)
        with running_store(store, command, directory):
            yield store
