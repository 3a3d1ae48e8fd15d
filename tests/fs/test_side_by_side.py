"""Uploads side by side in little memory: all go on, whatever the size and the order of their WRITEs."""

from __future__ import annotations

import asyncio
import random

import pytest

from s3sftp.backends import Buffer, Place, Session, Upload
from s3sftp.backends.memory import MemoryBackend
from s3sftp.backends.spool import SpoolQuota
from s3sftp.errors import Busy
from s3sftp.fs.budget import ByteBudget
from s3sftp.fs.options import FileOptions
from s3sftp.fs.write.upload_pipeline import WriteMode, WriterResources
from s3sftp.fs.write.writer import Writer

pytestmark = pytest.mark.slow

ME = Session("alice")
CHUNK = 64
UPLOADS = 24


class Slow(MemoryBackend):
    """Storing takes a moment, as long as the event loop has other things to do."""

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        position = asyncio.create_task(super().write_chunk(upload, data, session))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await position


class Host:
    """Writers that share one budget."""

    def __init__(self, budget_bytes: int, seed: dict[str, bytes] | None = None, **options: object) -> None:
        self.backend = Slow(seed, chunk_bytes=CHUNK, min_chunk_bytes=8, parallel_chunks=3)
        self.options = FileOptions.model_validate(options)
        self.budget = ByteBudget(budget_bytes, wait_seconds=60)
        self.tools = WriterResources(self.backend, self.options, self.budget, SpoolQuota(None, 1 << 20))

    async def open(self, name: str, mode: WriteMode | None = None) -> Writer:
        writer = Writer(self.tools, Place((name.encode(),)), mode or WriteMode(truncate=True), ME, None)
        await writer.begin()
        return writer

    def stored(self, name: str) -> bytes:
        return bytes(self.backend.objects[name.encode()].data)


@pytest.fixture(params=[False, True], ids=["large files", "any file may be small"])
def _small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a chunk is begun with bytes that have no reservation."""
    for module in ("budget_share", "upload_pipeline"):
        monkeypatch.setattr(f"s3sftp.fs.write.{module}.SMALL_BYTES", CHUNK if request.param else 8)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes a hundred times as fast."""
    monkeypatch.setattr("s3sftp.fs.budget._REVIEW_SECONDS", 0.01)
    monkeypatch.setattr("s3sftp.fs.budget_ledger.FILL_SECONDS", 0.02)


async def write(writer: Writer, at: int, data: bytes) -> None:
    if not writer.try_write(at, memoryview(data)):
        await writer.write(at, data)


async def upload(host: Host, number: int, block: int, near: int) -> bytes:
    """Write five chunks and a half, in blocks that are shuffled among `near` neighbours, and close."""
    content = random.Random(number).randbytes(5 * CHUNK + CHUNK // 2)
    starts = list(range(0, len(content), block))
    for group in range(0, len(starts), near):
        some = starts[group : group + near]
        random.Random(group).shuffle(some)
        starts[group : group + near] = some
    writer = await host.open(f"f{number}")
    for at in starts:
        await write(writer, at, content[at : at + block])
        await asyncio.sleep(0)
    await writer.commit()
    return content


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("near", [1, 4], ids=["in order", "nearly in order"])
@pytest.mark.parametrize("block", [1, 7, 8, 16, 32, 64, 100, 150])
@pytest.mark.parametrize("chunks", [1, 2, 5])
async def test_all_finish_without_waiting_for_time_to_pass(block: int, near: int, chunks: int) -> None:
    """No reservation gets too old here: nothing but what the uploads themselves do makes room."""
    near = min(near, max(1, CHUNK // block))
    host = Host(chunks * CHUNK + CHUNK // 2)
    async with asyncio.timeout(9):
        contents = await asyncio.gather(*(upload(host, number, block, near) for number in range(UPLOADS)))
    assert [host.stored(f"f{number}") for number in range(UPLOADS)] == contents
    assert host.budget.used == 0
    assert host.budget.peak <= host.budget.total + CHUNK


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("held", [CHUNK // 2, CHUNK, CHUNK + CHUNK // 2])
async def test_clients_that_pause_hold_up_nobody_and_finish_later(held: int) -> None:
    host = Host(6 * CHUNK)
    contents = [random.Random(number).randbytes(3 * CHUNK) for number in range(8)]
    paused = [await host.open(f"paused {number}") for number in range(8)]
    for writer, content in zip(paused, contents, strict=True):
        await write(writer, 0, content[:held])
    async with asyncio.timeout(20):
        await asyncio.gather(*(upload(host, number, 8, 1) for number in range(UPLOADS)))
        await asyncio.gather(
            *(finish(writer, held, content) for writer, content in zip(paused, contents, strict=True))
        )
    assert [host.stored(f"paused {number}") for number in range(8)] == contents
    assert host.budget.peak <= host.budget.total + CHUNK


async def finish(writer: Writer, at: int, content: bytes) -> None:
    await write(writer, at, content[at:])
    await writer.commit()


@pytest.mark.usefixtures("hurried")
async def test_paused_uploads_without_which_nobody_could_go_on_are_given_up_and_say_so() -> None:
    host = Host(2 * CHUNK, {"old": b"o" * (CHUNK - 1)})
    host.budget = ByteBudget(2 * CHUNK, wait_seconds=0.2)
    host.tools = WriterResources(host.backend, host.options, host.budget, host.tools.spool_quota)
    names = ["old", *(f"paused {number}" for number in range(3))]
    paused = [await host.open(name, WriteMode()) for name in names]
    for writer in paused:
        await write(writer, 0, b"n" * (CHUNK - 1))
    async with asyncio.timeout(20):
        content = await upload(host, 0, 16, 1)
    assert host.stored("f0") == content
    outcomes = await asyncio.gather(*(writer.commit() for writer in paused), return_exceptions=True)
    assert isinstance(outcomes[0], Busy)  # although what is stored has the size that it would have
    assert sum(isinstance(each, Busy) for each in outcomes) < len(outcomes)
    assert host.stored("old") == b"o" * (CHUNK - 1)
    assert host.budget.used == 0
    assert host.budget.peak <= host.budget.total + CHUNK
