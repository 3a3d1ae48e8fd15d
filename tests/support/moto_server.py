"""moto: AWS semantics that SeaweedFS lacks, keys of every shape among them. Does not check signatures."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.processes import Process, accepts, free_port
from testbed.s3_store import Store

ACCESS_KEY = "AKIATESTMOTO00000001"
SECRET_KEY = "the-secret-of-moto"


@contextmanager
def running_moto() -> Iterator[Store]:
    """Run a moto server, as a process so that it neither shares this one's event loop nor its warnings."""
    directory = Path(tempfile.mkdtemp(prefix="moto-"))
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    # Parts are kept in memory up to this size, then in files that vanish with the process.
    environment = {**os.environ, "MOTO_S3_DEFAULT_MAX_KEYS": "1000", "TMPDIR": str(directory)}
    process = Process(command, directory / "log", env=environment)
    try:
        process.wait_ready(lambda: accepts(port), timeout=60)
        store = Store("moto", f"http://127.0.0.1:{port}", ACCESS_KEY, SECRET_KEY)
        store.wait_writable()
        yield store
    finally:
        process.kill()
        shutil.rmtree(directory, ignore_errors=True)
