"""moto: AWS semantics that SeaweedFS lacks, keys of every shape among them. Does not check signatures."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from testbed.processes import free_port, temporary_directory
from testbed.s3_store import Store
from tests.support.store_process import running_store

ACCESS_KEY = "AKIATESTMOTO00000001"
SECRET_KEY = "the-secret-of-moto"


@contextmanager
def running_moto() -> Iterator[Store]:
    """Run a moto server, as a process so that it neither shares this one's event loop nor its warnings."""
    with temporary_directory("moto-") as directory:
        port = free_port()
        command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        # Parts are kept in memory up to this size, then in files that vanish with the process.
        environment = {**os.environ, "MOTO_S3_DEFAULT_MAX_KEYS": "1000", "TMPDIR": str(directory)}
        store = Store("moto", f"http://127.0.0.1:{port}", ACCESS_KEY, SECRET_KEY)
        with running_store(store, command, directory, timeout=60, environment=environment):
            yield store
