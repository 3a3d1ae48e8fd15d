"""An S3 server that is one process of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from testbed.processes import Process, accepts
from testbed.s3_store import Store


@contextmanager
def running_store(
    store: Store,
    command: Sequence[str],
    directory: Path,
    *,
    timeout: float = 30,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Store]:
    """Run it until the block ends. Its log is in the directory."""
    port = urlsplit(store.endpoint_url).port
    assert port is not None
    process = Process([*command], directory / "log", env=environment)
    try:
        process.wait_ready(lambda: accepts(port), timeout=timeout)
        store.wait_writable()
        yield store
    finally:
        process.kill()
