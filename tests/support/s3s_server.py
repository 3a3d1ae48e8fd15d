"""s3s-fs: a small store in Rust that keeps objects as files. Has no markers, and no ETags in listings."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.built import built
from tests.support.commands import installed
from tests.support.processes import Process, accepts, free_port
from tests.support.store import Store

VERSION = "0.14.1"
"""The newest that Rust 1.95 builds."""
ACCESS_KEY = "AKIATESTS3SFS0000001"
SECRET_KEY = "the-secret-of-s3s"


@contextmanager
def running_s3s() -> Iterator[Store]:
    """Run it on a temporary directory, without a bucket. Signatures are checked."""
    program = _program()
    directory = Path(tempfile.mkdtemp(prefix="s3s-"))
    (directory / "data").mkdir()
    port = free_port()
    where = ["--host", "127.0.0.1", "--port", str(port)]
    who = ["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]
    process = Process([str(program), *where, *who, str(directory / "data")], directory / "log")
    try:
        process.wait_ready(lambda: accepts(port), timeout=30)
        store = Store(
            "s3s-fs",
            f"http://127.0.0.1:{port}",
            ACCESS_KEY,
            SECRET_KEY,
            checksums=False,
            options={"attempts": 2},
        )
        store.wait_writable()
        yield store
    finally:
        process.kill()
        shutil.rmtree(directory, ignore_errors=True)


def _program() -> Path:
    """Built by cargo: two minutes or so, once."""
    install = [installed("cargo"), "install", "--quiet", "--locked", "--features", "binary"]
    root = built(
        f"s3s-fs-{VERSION}", lambda target: [*install, "--root", str(target), "s3s-fs", "--version", VERSION]
    )
    return root / "bin/s3s-fs"
