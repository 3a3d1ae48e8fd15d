"""`rclone serve s3`: a store that ignores conditions."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import Process, accepts, free_port, program
from tests.support.store import Store

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
    process = Process([*command, str(directory / "data")], directory / "log")
    try:
        process.wait_ready(lambda: accepts(port), timeout=30)
        yield Store("rclone", f"http://127.0.0.1:{port}", ACCESS_KEY, SECRET_KEY)
    finally:
        process.kill()
        shutil.rmtree(directory, ignore_errors=True)
