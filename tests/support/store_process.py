"""An S3 server that is one process of ours."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from testbed.processes import Process, accepts
from testbed.s3_store import Store


@contextmanager
def running_store(
    store: Store, command: Sequence[str], directory: Path, *, timeout: float = 30
) -> Iterator[Store]:
    """Run it until the block ends. Its log is in the directory, which is removed with all that it keeps."""
    port = urlsplit(store.endpoint_url).port
    assert port is not None
    process = Process([*command], directory / "log")
    try:
        process.wait_ready(lambda: accepts(port), timeout=timeout)
        store.wait_writable()
        yield store
    finally:
        process.kill()
        shutil.rmtree(directory, ignore_errors=True)
