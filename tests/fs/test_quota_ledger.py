"""After any sequence of operations the ledger knows what is stored: compared with a count of the storage.

Two users with quotas, one inside the other's prefix, in two workers that share their numbers. Uploads stay
open while other things happen, and end in any way.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3sftp.backends import Amount, Place, Session
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import StorageError
from s3sftp.fs import (
    FileOptions,
    FileSystem,
    Mount,
    Mounts,
    NewAttributes,
    OpenStorage,
    OpenWriter,
    Quota,
    SharedQuotaCounts,
    VirtualPath,
    WriteMode,
)
from s3sftp.fs.quota.shared_counts import ROWS
from s3sftp.runtime.shared_counters import SharedCounters, create_shared_file

CHUNK = 10
OUTER, INNER, OTHER = Quota(90, 8), Quota(50, 4), Quota(60, 5)
PLACES = {("acme",): OUTER, ("acme", "in"): INNER, ("other",): OTHER}
SEEDS = {"acme/a": b"12345", "acme/in/b": bytes(30), "acme/in/d/c": b"", "other/e": bytes(7), "free/f": b"x"}
PATHS = [
    "a",
    "b",
    "in/b",
    "in/d/c",
    "in/d",
    "in/x",
    "d",
    "d/y",
    "out/e",
    "out/d/z",
    "out/d",
    "free/f",
    "free/g",
]
MODES = [
    WriteMode(truncate=True),
    WriteMode(exclusive=True),
    WriteMode(append=True),
    WriteMode(),
    WriteMode(truncate=True, create=False),
    WriteMode(create=False),
]
MOUNTS = (
    Mount("/in", "acme/in/", quota=INNER),
    Mount("/out", "other/", quota=OTHER),
    Mount("/free", "free/"),
)

operations = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(
            ["put"] * 4
            + ["open", "close", "abort", "remove", "rename", "rename", "copy", "resize", "mkdir", "rmdir"]
        ),
        st.sampled_from(PATHS),
        st.sampled_from(PATHS),
        st.sampled_from(MODES),
        st.lists(st.tuples(st.integers(0, 30), st.integers(0, 35)), max_size=3),
        st.booleans(),
    ),
    max_size=25,
)


def path(text: str) -> VirtualPath:
    return VirtualPath.parse(text.encode())


@dataclass
class World:
    """One storage, and a session in each of two workers."""

    backend: MemoryBackend
    volumes: list[OpenStorage]
    sessions: list[FileSystem]
    uploads: list[OpenWriter] = field(default_factory=list)

    @classmethod
    def new(cls) -> World:
        backend = MemoryBackend(SEEDS, chunk_bytes=CHUNK, min_chunk_bytes=1)
        memory = create_shared_file(ROWS, 2)
        volumes = [
            OpenStorage(
                backend,
                FileOptions(gaps="zero"),
                quotas=SharedQuotaCounts(SharedCounters.shared(memory, 2, column)),
            )
            for column in (0, 1)
        ]
        os.close(memory)
        mounts = Mounts.of("acme/", mounts=MOUNTS, quota=OUTER)
        sessions = [FileSystem(volume, mounts, Session(f"u{at}")) for at, volume in enumerate(volumes)]
        return cls(backend, volumes, sessions)

    def counted(self, *names: str) -> Amount:
        prefix = "/".join(names).encode() + b"/"
        sizes = [
            each.size
            for key, each in self.backend.objects.items()
            if key.startswith(prefix) and not key.endswith(b"/")
        ]
        return Amount(sum(sizes), len(sizes))

    async def check(self) -> None:
        for volume in self.volumes:
            for names, quota in PLACES.items():
                ledger = volume.quotas
                place = ledger.counted(Place(tuple(name.encode() for name in names)))
                tally = await ledger.counter.tally(place)
                if tally.stored is None:
                    continue
                assert tally.stored == self.counted(*names), names
                assert quota.bytes is not None
                assert quota.files is not None
                assert tally.used.bytes <= quota.bytes
                assert tally.used.files <= quota.files
                counts = tally.counts
                assert counts.admitted == counts.leaving == Amount()
                assert not counts.moving
                if not self.uploads:
                    assert counts.held == Amount()

    async def run(self, who: int, what: str, name: str, other: str, mode: WriteMode, writes, flag) -> None:  # type: ignore[no-untyped-def]
        files = self.sessions[who]
        if what in ("put", "open"):
            upload = await files.open_writer(path(name), mode)
            try:
                for offset, size in writes:
                    await upload.write(offset, b"d" * size)
                    await upload.sync()
            except BaseException:
                await upload.abort()
                raise
            if what == "put":
                await upload.close()
            else:
                self.uploads.append(upload)
        elif what in ("close", "abort") and self.uploads:
            upload = self.uploads.pop()
            await (upload.close() if what == "close" else upload.abort())
        elif what == "remove":
            await files.remove(path(name))
        elif what == "rename":
            await files.rename(path(name), path(other), overwrite=flag)
        elif what == "copy":
            source = await files.open_reader(path(name))
            target = await files.open_writer(path(other), mode)
            try:
                await files.copy(source, 0, 0, target, 0)
                await target.close()
            finally:
                await target.abort()
                await source.close()
        elif what == "resize":
            await files.set_attributes(path(name), NewAttributes(size=writes[0][0] if writes else 0))
        elif what == "mkdir":
            await files.make_dir(path(name))
        elif what == "rmdir":
            await files.remove_dir(path(name))


async def _tried(work: Awaitable[object]) -> None:
    with suppress(StorageError):
        await work


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(operations)
def test_after_any_operations_the_numbers_are_those_of_the_storage(given_operations) -> None:  # type: ignore[no-untyped-def]
    async def run() -> None:
        world = World.new()
        for operation in given_operations:
            await _tried(world.run(*operation))
            await world.check()
        while world.uploads:
            await _tried(world.uploads.pop().close())
            await world.check()
        for volume in world.volumes:
            await volume.stop()

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(3))
async def test_side_by_side_too(seed: int) -> None:
    """All at once: only the end can be compared, and the quota is never exceeded."""
    world = World.new()
    names = [f"in/{number}" for number in range(6)] + ["in/b", "x", "y", "out/e"]

    async def one(number: int) -> None:
        name, who = names[(number * 7 + seed) % len(names)], number % 2
        other = names[(number * 3 + seed) % len(names)]
        for what in ("put", "rename", "put", "remove", "copy"):
            await _tried(
                world.run(who, what, name, other, MODES[number % 4], [(0, number % 30), (12, 5)], True)
            )
            counted = world.counted("acme", "in")
            assert counted.bytes <= 50
            assert counted.files <= 4

    await asyncio.gather(*(one(number) for number in range(20)))
    await world.check()
    for volume in world.volumes:
        await volume.stop()
