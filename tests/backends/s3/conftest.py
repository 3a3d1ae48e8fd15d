"""A started S3 backend behind the fault proxy, quick to give up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from s3sftp.backends.contract import Place, Session
from s3sftp.backends.s3 import S3Backend, S3Options
from s3sftp.backends.s3.namespace import removing
from s3sftp.backends.s3.requests import list_pages
from s3sftp.telemetry.metrics import Metrics
from testbed.s3_store import Store

ALICE = Session("alice")
PART = 5 << 20
"""The smallest part that the stores take."""
Opener = Callable[..., Awaitable[S3Backend]]


def place(path: str) -> Place:
    return Place(tuple(name.encode() for name in path.split("/") if name))


def options_for(store: Store, bucket: str, **changes: Any) -> S3Options:
    """Options for tests: the smallest parts, and no more patience than a test has."""
    defaults: dict[str, Any] = {
        "bucket": bucket,
        "prefix": "tenant/",
        "endpoint_url": store.endpoint_url,
        "region": store.region,
        "addressing": "path",
        "access_key_id": SecretStr(store.access_key),
        "secret_access_key": SecretStr(store.secret_key),
        "part_bytes": PART,
        "attempts": 3,
        "metadata_timeout": timedelta(seconds=20),
        "data_timeout": timedelta(seconds=20),
        "stall_timeout": timedelta(seconds=5),
    }
    return S3Options(**(defaults | dict(store.options) | changes))


@pytest.fixture
async def open_backend(proxied: Store, bucket: str) -> AsyncIterator[Opener]:
    """Opens backends on the test's bucket, through the proxy; options can be changed by name."""
    async with AsyncExitStack() as life:

        async def opener(
            state_dir: Path | None = None, metrics: Metrics | None = None, **changes: Any
        ) -> S3Backend:
            backend = S3Backend(options_for(proxied, bucket, **changes), state_dir, metrics)
            life.push_async_callback(backend.stop)
            await backend.start()
            return backend

        yield opener


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> int:
    """Pages and batches of 5 instead of 1 000: borders without waiting for thousands of objects."""
    monkeypatch.setattr(list_pages, "PAGE_KEYS", 5)
    monkeypatch.setattr(removing, "BATCH", 5)
    return 5


@pytest.fixture
async def backend(open_backend: Opener) -> S3Backend:
    return await open_backend()
