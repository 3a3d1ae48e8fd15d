"""Each operation costs the S3 requests that the published table says, counted at the S3 side."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.limits.operations import OPERATIONS, Operation, World, measured, world
from tests.support.server import PART_BYTES
from tests.support.store import Store


@pytest.fixture
async def here(store: Store, bucket: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world(store, bucket, tmp_path / "server") as running:
        yield running


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_an_operation_costs_what_the_table_says(here: World, operation: Operation) -> None:
    assert await measured(here, operation) == operation.budget


async def test_each_transfer_leaves_one_line_with_its_requests(here: World) -> None:
    size = PART_BYTES * 5 // 2
    await here.client.put(b"/large", bytes(size))
    await here.server.until(lambda: bool(here.server.events("transfer")), "the transfer to be told")
    (line,) = here.server.events("transfer")
    assert line["s3_requests"] == {"CreateMultipartUpload": 1, "UploadPart": 3, "CompleteMultipartUpload": 1}
    assert (line["direction"], line["outcome"], line["path"]) == ("upload", "stored", "/large")
    assert (line["bytes"], line["size"], line["user"]) == (size, size, "alice")
