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
from tests.support.faults import Meanwhile

pytestmark = pytest.mark.alone

LATENCY = 0.2
"""Seconds. A file takes six of them, in which the processor has to serve eight files and S3 may serve 16."""
TRANSFERS = 16
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


async def test_none_of_16_files_that_rclone_uploads_at_once_waits_for_another(
    here: World, tmp_path: Path
) -> None:
    """Each request that changes a name waits at S3 until there are 16 of its kind, one of each transfer."""
    rules = {}
    for api, key in (("PutObject", r"/f\d+"), ("CopyObject", r"/f\d+$"), ("DeleteObject", r"\.partial$")):
        at_once = asyncio.Barrier(TRANSFERS)
        rules[api] = here.proxy.on(api, key=key, do=Meanwhile(at_once.wait))
    files = 4 * TRANSFERS
    async with asyncio.timeout(100):
        await upload(here, Clients(here.server, tmp_path), tmp_path, TRANSFERS, files)
    assert {api: rule.hits for api, rule in rules.items()} == dict.fromkeys(rules, files)


@pytest.mark.timeout(900)
async def test_rclone_uploads_small_files_eight_times_faster_than_one_by_one(
    here: World, tmp_path: Path
) -> None:
    """The same server, the same latency; what is compared is files a second. The latency is long beside what
    the processor has to do; other work on the machine can hold sixteen at once up, but not each time."""
    here.proxy.latency = LATENCY
    clients = Clients(here.server, tmp_path)
    seen = []
    for attempt in range(3):
        home = tmp_path / f"{attempt}"
        one, many = [
            await rate(here, clients, home, *each) for each in ((1, 10), (TRANSFERS, 20 * TRANSFERS))
        ]
        if many > 8 * one:
            return
        seen.append(f"{many:.1f} against {one:.1f} files a second")
    pytest.fail(", ".join(seen))


async def rate(here: World, clients: Clients, home: Path, transfers: int, files: int) -> float:
    """Files a second that rclone uploads."""
    started = time.monotonic()
    await upload(here, clients, home, transfers, files)
    return files / (time.monotonic() - started)


async def upload(here: World, clients: Clients, home: Path, transfers: int, files: int) -> None:
    """Make small files and let rclone upload them into a directory of their own."""
    source, target = home / f"files-{files}", f"d{files}-{home.name}"
    source.mkdir(parents=True)
    for index in range(files):
        (source / f"f{index:04}").write_bytes(b"x" * 100)
    words = ("copy", str(source), f"alice:/{target}", "--transfers", str(transfers))
    (await clients.rclone(*words, program=installed("rclone"), timeout=280)).ok()
    assert len(await here.s3.keys(f"{here.server.prefix}{target}/f")) == files
