"""`rclone serve s3`: a store that ignores conditions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.processes import free_port, program
from testbed.s3_store import Store
from tests.support.store_process import running_store

ACCESS_KEY = "AKIASLOPPYSTORE00001"
SECRET_KEY = "the-secret-of-a-sloppy-store"


@contextmanager
def running_rclone() -> Iterator[Store]:
    """Run it on a temporary directory, without a bucket."""
    rclone = program("rclone")
    assert rclone is not None
    directory = Path(tempfile.mkdtemp(prefix="rclone-"))
    (directory / "data").mkdir()
    port = free_port()
    command = [
        rclone,
        "serve",
        "s3",
        "--addr",
        f"127.0.0.1:{port}",
        "--auth-key",
        f"{ACCESS_KEY},{SECRET_KEY}",
    ]
    store = Store("rclone", f"http://127.0.0.1:{port}", ACCESS_KEY, SECRET_KEY)
    with running_store(store, [*command, str(directory / "data")], directory):
        yield store
