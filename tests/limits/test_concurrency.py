"""S3's latency is paid once by those who do not wait for each answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from testbed.s3_store import Store
from tests.limits.operations import World, world
from tests.support.clients import Clients
from tests.support.commands import installed

pytestmark = pytest.mark.alone

LATENCY = 0.05
LONG_LATENCY = 0.5
"""Seconds, so long that what the machine has to compute is little beside them, also where it is busy."""


@pytest.fixture
async def here(store: Store, bucket: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world(store, bucket, tmp_path / "server") as running:
        yield running


async def test_64_pipelined_stats_take_less_than_ten_times_one(here: World) -> None:
    for index in range(65):
        await here.put_behind(f"f{index}")
    here.proxy.latency = LONG_LATENCY
    started = time.monotonic()
    await here.client.stat(b"/f64")
    one = time.monotonic() - started
    started = time.monotonic()
    await asyncio.gather(*(here.client.stat(b"/f%d" % index) for index in range(64)))
    assert time.monotonic() - started < 10 * one


@pytest.mark.timeout(900)
async def test_rclone_uploads_1000_small_files_eight_times_faster_than_one_by_one(
    here: World, tmp_path: Path
) -> None:
    """The same server, the same latency; what is compared is files a second. Sixteen at once need more of the
    processor: other work on the machine can hold them up, but not each time."""
    here.proxy.latency = LATENCY
    clients = Clients(here.server, tmp_path)
    seen = []
    for attempt in range(3):
        home = tmp_path / f"{attempt}"
        one, many = [await rate(here, clients, home, *each) for each in ((1, 60), (16, 1000))]
        if many > 8 * one:
            return
        seen.append(f"{many:.1f} against {one:.1f} files a second")
    pytest.fail(", ".join(seen))


async def rate(here: World, clients: Clients, home: Path, transfers: int, files: int) -> float:
    """Files a second that rclone uploads."""
    source, target = home / f"files-{files}", f"d{files}-{home.name}"
    source.mkdir(parents=True)
    for index in range(files):
        (source / f"f{index:04}").write_bytes(b"x" * 100)
    started = time.monotonic()
    words = ("copy", str(source), f"alice:/{target}", "--transfers", str(transfers))
    (await clients.rclone(*words, program=installed("rclone"), timeout=280)).ok()
    taken = time.monotonic() - started
    assert len(await here.s3.keys(f"{here.server.prefix}{target}/f")) == files
    return files / taken
