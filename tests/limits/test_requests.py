"""Each operation costs the S3 requests that the published table says, counted at the S3 side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from testbed.packets import CREAT, TRUNC, W
from testbed.s3_store import Store, new_bucket_name
from tests.limits.operations import (
    CLIENTS,
    OPERATIONS,
    WITH_A_QUOTA,
    WITH_KEPT_UPLOADS,
    WITH_STORED_TIMES,
    WITH_THE_JOURNAL_IN_THE_BUCKET,
    Operation,
    World,
    list_all,
    measured,
    measured_once_listed,
    world,
)
from tests.support.clients import Clients
from tests.support.commands import installed
from tests.support.server import PART_BYTES


@pytest.fixture
async def here(store: Store, bucket: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world(store, bucket, tmp_path / "server") as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there(seaweed: Store, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """One server for all rows of the table, as `make budget` has it: each row has names of its own."""
    bucket = new_bucket_name()
    seaweed.make_bucket(bucket)
    async with world(seaweed, bucket, tmp_path_factory.mktemp("requests") / "server") as running:
        yield running
    seaweed.drop_bucket(bucket)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_an_operation_costs_what_the_table_says(there: World, operation: Operation) -> None:
    assert await measured(there, operation) == operation.budget


@pytest.mark.parametrize("operation", WITH_THE_JOURNAL_IN_THE_BUCKET, ids=lambda operation: operation.name)
async def test_with_the_journal_in_the_bucket_it_costs_what_that_table_says(
    store: Store, bucket: str, tmp_path: Path, operation: Operation
) -> None:
    async with world(store, bucket, tmp_path / "server", {"s3": {"journal": "bucket"}}) as here:
        assert await measured(here, operation) == operation.budget


@pytest.mark.parametrize("operation", WITH_STORED_TIMES, ids=lambda operation: operation.name)
async def test_with_stored_times_it_costs_what_that_table_says(
    store: Store, bucket: str, tmp_path: Path, operation: Operation
) -> None:
    async with world(store, bucket, tmp_path / "server", {"s3": {"times": "stored"}}) as here:
        assert await measured(here, operation) == operation.budget


async def test_with_a_quota_it_costs_what_that_table_says(store: Store, bucket: str, tmp_path: Path) -> None:
    options = {"users.alice.quota": {"bytes": "1 GiB", "files": 5000}}
    async with world(store, bucket, tmp_path / "server", options) as here:
        found = {each.name: await measured(here, each) for each in WITH_A_QUOTA}
    assert found == {each.name: each.budget for each in WITH_A_QUOTA}


async def test_where_uploads_are_kept_it_costs_what_that_table_says(
    store: Store, bucket: str, tmp_path: Path
) -> None:
    options = {"files": {"resume": "1 h"}, "s3": {"janitor_interval": "1 h"}}
    async with world(store, bucket, tmp_path / "server", options) as here:
        async with asyncio.timeout(60):
            while here.proxy.log.count("ListObjectsV2") == 0:  # the sweep at the start
                await asyncio.sleep(0.05)
        found = {each.name: await measured(here, each) for each in WITH_KEPT_UPLOADS}
    assert found == {each.name: each.budget for each in WITH_KEPT_UPLOADS}


async def test_without_a_journal_it_costs_what_the_table_says(
    store: Store, bucket: str, tmp_path: Path
) -> None:
    [operation] = [each for each in OPERATIONS if each.name == "put of 2½ parts"]
    async with world(store, bucket, tmp_path / "server", {"s3": {"journal": "off"}}) as here:
        assert await measured(here, operation) == operation.budget


async def test_an_upload_that_lasts_costs_one_request_for_each_interval_and_an_idle_server_none(
    store: Store, bucket: str, tmp_path: Path
) -> None:
    options = {"s3": {"journal": "bucket", "janitor_min_age": "5 s", "janitor_interval": "1 h"}}
    async with world(store, bucket, tmp_path / "server", options) as here:
        here.proxy.log.clear()
        handle = await here.client.open(b"/long", W | CREAT | TRUNC)
        for at in range(0, 2 * PART_BYTES, 1 << 17):
            await here.client.write(handle, at, bytes(1 << 17))
        async with asyncio.timeout(60):
            while (leases := _leases(here)) < 3:
                await asyncio.sleep(0.1)
            began = min(seen.started for seen in here.proxy.log if seen.key.endswith("/lease"))
            assert leases <= (time.monotonic() - began) / 0.5 + 1, "each half second at most"
            await here.client.close(handle)
            while await here.s3.keys(".s3sftp/"):
                await asyncio.sleep(0.1)
        here.proxy.log.clear()
        await asyncio.sleep(2)
        assert here.requests() == {}


def _leases(here: World) -> int:
    return sum(seen.key.endswith("/lease") for seen in here.proxy.log)


async def test_what_clients_do_costs_what_the_table_says(here: World) -> None:
    found = await measured_once_listed(here, CLIENTS)
    assert found == {story.name: story.budget for story in CLIENTS}


async def test_openssh_itself_costs_no_more_than_its_stories_and_what_is_promised(
    here: World, tmp_path: Path
) -> None:
    """Its packets, not ours."""
    await asyncio.gather(*(here.put_behind(f"thirty/{number}", b"x") for number in range(30)))
    await list_all(here)
    local = tmp_path / "local"
    local.mkdir()
    (local / "f").write_bytes(bytes(10_000))
    openssh = Clients(here.server, tmp_path / "openssh")
    for line, most in (
        (f"put {local}/f f", 4),
        (f"get f {local}/g", 3),
        ("ls -l thirty", 4),
        (f"get -r thirty {local}", 30 + 3 + 1),
    ):
        here.proxy.log.clear()
        (await openssh.sftp(line)).ok()
        assert sum(here.requests().values()) <= most, (line, here.requests())


async def test_rclone_itself_costs_four_requests_for_each_small_file_beside_its_stats(
    store: Store, bucket: str, tmp_path: Path
) -> None:
    """PUT, the copies for the time and for the rename, DELETE; and what it lists and looks up."""
    files, local = 40, tmp_path / "small"
    local.mkdir()
    for number in range(files):
        (local / f"f{number}").write_bytes(bytes(10_000))
    # so that a slow machine looks up no more than a fast one
    async with world(store, bucket, tmp_path / "server", {"s3": {"cache_ttl": "5 min"}}) as here:
        words = ("copy", "--transfers", "16", str(local), "alice:/small")
        rclone = Clients(here.server, tmp_path / "rclone")
        here.proxy.log.clear()
        (await rclone.rclone(*words, program=installed("rclone"))).ok()
        found = here.requests()
    assert found.pop("PutObject") == files + 1, "and the directory's marker"
    assert found.pop("DeleteObject") == files
    # a time that comes before the file is closed needs no copy
    assert files <= found.pop("CopyObject") <= 2 * files
    assert found.pop("HeadObject") <= 3 * files  # STAT asks for each
    # each connection looks for the directory once
    assert found.pop("ListObjectsV2") <= 2 * 16 + 4
    assert found == {}


async def test_each_transfer_leaves_one_line_with_its_requests(here: World) -> None:
    size = PART_BYTES * 5 // 2
    await here.client.put(b"/large", bytes(size))
    await here.server.until(lambda: bool(here.server.events("upload.committed")), "the transfer to be told")
    (line,) = here.server.events("upload.committed")
    assert line["s3_requests"] == {"CreateMultipartUpload": 1, "UploadPart": 3, "CompleteMultipartUpload": 1}
    assert line["path"] == "/large"
    assert (line["bytes"], line["size"], line["user"]) == (size, size, "alice")
