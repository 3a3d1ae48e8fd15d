"""s3s-fs: a small store in Rust that keeps objects as files. Has no markers, and no ETags in listings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.processes import free_port, temporary_directory
from testbed.s3_store import Store
from tests.support.built_stores import built
from tests.support.commands import installed
from tests.support.store_process import running_store

VERSION = "0.14.1"
"""The newest that Rust 1.95 builds."""
ACCESS_KEY = "AKIATESTS3SFS0000001"
SECRET_KEY = "the-secret-of-s3s"


@contextmanager
def running_s3s() -> Iterator[Store]:
    """Run it on a temporary directory, without a bucket. Signatures are checked."""
    program = _program()
    with temporary_directory("s3s-") as directory:
        (directory / "data").mkdir()
        port = free_port()
        where = ["--host", "127.0.0.1", "--port", str(port)]
        who = ["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]
        command = [str(program), *where, *who, str(directory / "data")]
        endpoint = f"http://127.0.0.1:{port}"
        store = Store("s3s-fs", endpoint, ACCESS_KEY, SECRET_KEY, checksums=False, options={"attempts": 2})
        with running_store(store, command, directory):
            yield store


def _program() -> Path:
    """Built by cargo, once: a minute or so, because nothing is optimized, and described for no debugger."""
    plain = ["--debug", "--config", "profile.dev.debug=false"]
    install = [installed("cargo"), "install", "--quiet", *plain, "--locked", "--features", "binary"]
    root = built(
        f"s3s-fs-{VERSION}-debug",
        lambda target: [*install, "--root", str(target), "s3s-fs", "--version", VERSION],
    )
    return root / "bin/s3s-fs"
