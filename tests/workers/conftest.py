"""A server with two workers for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from testbed.s3_store import Store
from tests.workers.worker_server import WorkerServer, worker_server


@pytest.fixture
async def serving(
    seaweed: Store, bucket: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[WorkerServer]:
    """Two workers; `parametrize("serving", [groups], indirect=True)` changes the options."""
    async with worker_server(tmp_path, seaweed, bucket, getattr(request, "param", None)) as running:
        yield running
