"""Whatever replicas do at once, with crashes and lost answers, together they never exceed a quota.

Replicas in this process, on one storage and one table in memory, in a time of their own.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest

from s3sftp.backends import Amount, Buffer, FileInfo, Finish, Place, Session, Upload
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import StorageError
from s3sftp.fs import FileOptions, FileSystem, Mount, Mounts, OpenStorage, Quota, VirtualPath, WriteMode
from s3sftp.fs.quota.quotas import NO_QUOTA
from s3sftp.shared_state.quota_records import record_in
from s3sftp.shared_state.quota_table import QuotaTable
from s3sftp.shared_state.shared_quotas import SharedQuotas
from s3sftp.telemetry.metric_catalogue import SHARED_STATE_DOWN
from s3sftp.telemetry.metrics import Metrics
from tests.support.memory_table import MemoryItems, MemoryTable, no_answer
from tests.support.virtual_time import now, run_in_virtual_time

A = Amount
INTERVAL = 5.0
DEAD_SECONDS = 15 * INTERVAL + 1
"""After so long others take a replica that writes nothing for dead."""
TRUNC = WriteMode(truncate=True)
NUMBERS = itertools.count()
Weather = Callable[[str], Awaitable[None]]


class Bucket(MemoryBackend):
    """Storage whose requests take time. A listing sees each file at another moment."""

    listings = 0
    most: Amount | None = None
    """What must not be exceeded at any time."""
    together: asyncio.Barrier | None = None
    """Where those meet who finish an upload, before any of them is stored."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.exceeded: list[Amount] = []
        """What was stored when it was exceeded."""

    async def total_below(self, place: Place, session: Session) -> Amount:
        self.listings += 1
        prefix = b"/".join(place.names) + b"/"
        total = Amount()
        seen = b""
        while True:
            rest = [key for key in sorted(self.objects) if key > seen and key.startswith(prefix)]
            if not rest:
                return total
            seen = rest[0]
            if not seen.endswith(b"/"):
                total = total + Amount(self.objects[seen].size, 1)
            await asyncio.sleep(0.01)

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        if self.together is not None:
            await self.together.wait()
        await asyncio.sleep(random.uniform(0, 0.02))
        info = await super().finish_write(upload, tail, finish, session)
        if self.most is not None and (
            self.used().bytes > self.most.bytes or self.used().files > self.most.files
        ):
            self.exceeded.append(self.used())
        await asyncio.sleep(random.uniform(0, 0.02))
        return info

    def used(self, prefix: bytes = b"acme/") -> Amount:
        sizes = [each.size for key, each in self.objects.items() if key.startswith(prefix)]
        return Amount(sum(sizes), len(sizes))


class Replica:
    """A process that serves one user, or several."""

    def __init__(
        self,
        bucket: Bucket,
        items: MemoryItems,
        weather: Weather | None = None,
        repeats: Callable[[], bool] = lambda: False,
        **options: Any,
    ) -> None:
        """`options` are those of files."""
        self.table = MemoryTable(items, weather, repeats)
        self.metrics = Metrics()
        self.shared = QuotaTable(
            cast(Any, self.table), interval=INTERVAL, metrics=self.metrics, wall_clock=now, clock=now
        )
        self.quotas = SharedQuotas(self.shared, lambda storage, key: f"bucket/{storage}/{key}")
        self.volume = OpenStorage(bucket, FileOptions(**options), quotas=self.quotas)
        self.volume.quotas.counter._clock = now
        self.number = next(NUMBERS)
        self.running = asyncio.create_task(self.quotas.run())
        self.work: set[asyncio.Task[None]] = set()

    def files(self, quota: Quota = NO_QUOTA, prefix: str = "acme/", *mounts: Mount) -> FileSystem:
        session = Session(f"u{next(NUMBERS)}")
        return FileSystem(self.volume, Mounts.of(prefix, mounts=mounts, quota=quota), session)

    def begin(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self.work.add(task)
        task.add_done_callback(self.work.discard)
        return task

    async def crash(self) -> None:
        """End as a killed process does: nothing more is written anywhere."""

        async def gone(what: str) -> None:
            raise asyncio.CancelledError

        self.table.weather = gone
        tasks = [self.running, *self.work]
        for task in tasks:
            task.cancel()

    async def stop(self) -> None:
        await self.volume.stop()
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        await self.quotas.stop()


def path(text: str) -> VirtualPath:
    return VirtualPath.parse(text.encode())


async def put(files: FileSystem, name: str, size: int) -> bool:
    """Whether it was stored."""
    upload = None
    try:
        upload = await files.open_writer(path(name), TRUNC)
        await upload.write(0, bytes(size))
        await upload.close()
    except StorageError:
        if upload is not None:
            await upload.abort()
        return False
    return True


@asynccontextmanager
async def replicas(
    count: int = 2, seeds: dict[str, bytes] | None = None, weather: Weather | None = None
) -> AsyncIterator[tuple[Bucket, list[Replica]]]:
    bucket = Bucket(seeds or {}, chunk_bytes=10, min_chunk_bytes=1)
    items = MemoryItems()
    made = [Replica(bucket, items, weather) for _ in range(count)]
    yield bucket, made
    for each in made:
        if not each.running.done():
            await each.stop()
    if all(each.running.cancelled() for each in made):
        return


def in_virtual_time(test: Callable[..., Any]) -> Callable[..., None]:
    def run(**given: Any) -> None:
        run_in_virtual_time(test(**given))

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return run


@in_virtual_time
async def test_of_uploads_that_end_at_once_on_two_replicas_just_those_are_stored_that_fit() -> None:
    async with replicas() as (bucket, both):
        users = [each.files(Quota(100)) for each in both]
        names = [(at, f"f{at}-{number}") for number in range(10) for at in (0, 1)]
        await asyncio.gather(*(put(users[at], name, 9) for at, name in names))
        assert bucket.used() == A(99, 11)
        for user in users:
            assert (await user.usage(path("/"))).used_bytes == 99
            assert not await put(user, "more", 2)
            assert await put(user, f"f{users.index(user)}-0x", 0)


@in_virtual_time
async def test_a_lone_upload_costs_two_writes_and_many_small_ones_far_fewer_each() -> None:
    async with replicas() as (_, (one, _)):
        user = one.files(Quota(10**9, 10**6))
        await user.usage(path("/"))
        await asyncio.sleep(3 * INTERVAL)
        before = one.table.writes
        assert await put(user, "f", 5)
        await asyncio.sleep(10 * INTERVAL)
        assert one.table.writes == before + 2
        for number in range(300):
            assert await put(user, f"many{number}", 5)
            await asyncio.sleep(0.02)
        await asyncio.sleep(10 * INTERVAL)
        assert one.table.writes - before - 2 < 30
        idle = one.table.reads, one.table.writes
        await asyncio.sleep(1000)
        assert (one.table.reads, one.table.writes) == idle


@in_virtual_time
async def test_nobody_is_refused_for_what_another_replica_has_set_aside_or_removed() -> None:
    async with replicas() as (bucket, (one, other)):
        here, there = one.files(Quota(1000)), other.files(Quota(1000))
        for number in range(5):
            assert await put(here, f"f{number}", 100)
        (item,) = one.table.items.items.values()
        assert any(share.spare.bytes for share in record_in(item).shares.values())
        assert await put(there, "fits", 500)
        await here.remove(path("/f0"))
        assert await put(there, "fits too", 100)
        assert bucket.used().bytes == 1000


@in_virtual_time
async def test_a_count_undoes_nothing_of_what_another_replica_does_meanwhile() -> None:
    """While one replica lists, the other stores and removes what was listed already, and what was not."""
    seeds = {f"acme/{name}{number}": bytes(10) for name in "bdf" for number in range(50)}
    async with replicas(seeds=seeds) as (bucket, (one, other)):
        here, there = one.files(Quota(3000, 300)), other.files(Quota(3000, 300))
        for _ in range(3):
            assert await put(here, "d0", 11)
            await there.usage(path("/"))
            await asyncio.sleep(3601)
            before = bucket.listings
            await here.usage(path("/"))  # begins to count
            while bucket.listings == before:
                await asyncio.sleep(0.01)
            for name in ("a", "c", "e", "g"):
                assert await put(there, name, 10)
            for name in ("b0", "d10", "f10"):
                if f"acme/{name}" in bucket.contents():
                    await there.remove(path(f"/{name}"))
            await asyncio.sleep(4 * INTERVAL)
            for user in (here, there):
                usage = await user.usage(path("/"))
                assert (usage.used_bytes, usage.used_files) == (bucket.used().bytes, bucket.used().files)
        del bucket.objects[b"acme/f49"]  # behind the replicas' backs
        await asyncio.sleep(3601)
        await there.usage(path("/"))
        await asyncio.sleep(4 * INTERVAL)
        assert (await here.usage(path("/"))).used_bytes == bucket.used().bytes


@in_virtual_time
async def test_one_replica_counts_for_all() -> None:
    async with replicas(3, {"acme/a": bytes(10)}) as (bucket, every):
        users = [each.files(Quota(1000)) for each in every]
        for listings in (1, 2):
            await asyncio.gather(*(user.usage(path("/")) for user in users))
            await asyncio.sleep(60)
            assert bucket.listings == listings
            await asyncio.sleep(3600)


@in_virtual_time
async def test_a_client_that_leaves_while_the_table_is_asked_leaves_nothing_held() -> None:
    asked = asyncio.Event()

    async def slow(what: str) -> None:
        if what == "update":
            asked.set()
            await asyncio.sleep(1)

    async with replicas() as (bucket, (one, other)):
        here = one.files(Quota(100), "acme/", Mount("/in", "acme/in/", quota=Quota(60)))
        for name in ("/", "/in"):
            await here.usage(path(name))
        one.table.weather = slow
        for chunks in (2, 9):  # the latter is refused
            asked.clear()
            upload = await here.open_writer(path("/in/x"), TRUNC)
            writing = asyncio.create_task(upload.write(0, bytes(10 * chunks)))
            await asked.wait()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await upload.abort()
        await asyncio.sleep(3 * INTERVAL)
        assert all(at.has_no_part for at in one.quotas._places.values())
        assert await put(other.files(Quota(100)), "all", 100)
        assert bucket.used().bytes == 100


@in_virtual_time
async def test_a_count_finds_that_two_replicas_which_replaced_one_file_both_took_it_away() -> None:
    """Both have looked at the old file before either has replaced it."""
    async with replicas(seeds={"acme/f": bytes(60), "acme/g": bytes(30)}) as (bucket, both):
        users = [each.files(Quota(100, 9)) for each in both]
        for user in users:
            await user.usage(path("/"))
        await asyncio.sleep(3 * INTERVAL)
        bucket.together = asyncio.Barrier(2)
        assert await asyncio.gather(*(put(user, "f", 20) for user in users)) == [True, True]
        bucket.together = None
        await asyncio.sleep(3 * INTERVAL)
        assert bucket.used() == A(50, 2)
        for user in users:
            assert (await user.usage(path("/"))).used_bytes == 10, "decision 43 says so"
        assert await put(users[0], "h", 75), "so it is exceeded by what was subtracted twice"
        listings = bucket.listings
        await asyncio.sleep(3601)
        await users[1].usage(path("/"))  # begins to count
        await asyncio.sleep(3 * INTERVAL)
        assert bucket.listings == listings + 1
        for user in users:
            usage = await user.usage(path("/"))
            assert (usage.used_bytes, usage.used_files) == (125, 3)
            assert not await put(user, "more", 1)


# ── anything at once ────────────────────────────────────────────────────────────────────────────────────


class Trial:
    """Replicas that do random things, crash, and are replaced."""

    def __init__(self, seed: int, *, crashes: bool, outages: bool) -> None:
        self.random = random.Random(seed)
        self.crashes = crashes
        self.outages = outages
        self.is_calm = False
        seeds = {"acme/a": bytes(20), "acme/in/b": bytes(10), "acme/d/c": bytes(5), "acme/d/e": b""}
        self.bucket = Bucket(seeds, chunk_bytes=10, min_chunk_bytes=1)
        if not outages:
            self.bucket.most = A(100, 12)
        self.items = MemoryItems()
        self.replicas = [self.replica() for _ in range(self.random.choice((2, 3)))]

    def replica(self) -> Replica:
        return Replica(
            self.bucket,
            self.items,
            self.weather,
            lambda: not self.is_calm and self.random.random() < 0.1,
            quota_recount="90 s",
            gaps="zero",
        )

    async def weather(self, what: str) -> None:
        if self.is_calm:
            return
        await asyncio.sleep(self.random.choice((0, 0, 0.001, 0.01, 0.03)))
        if self.outages and self.random.random() < 0.05:
            raise no_answer()

    async def client(self, replica: Replica) -> None:
        """One thing after another, with files that no other replica touches: two that replace the same file
        at the same moment may both take away what was there (decision 43)."""
        inner = Mount("/in", "acme/in/", quota=Quota(60, 7))
        files = replica.files(Quota(100, 12), "acme/", inner)
        names = [f"{name}{replica.number}" for name in ("x", "y", "d/x", "d/y", "in/x", "in/y", "in/z")]
        for _ in range(self.random.randint(3, 12)):
            name, other = (path("/" + self.random.choice(names)) for _ in range(2))
            with suppress(StorageError):
                await self.step(replica, files, name, other)
            await asyncio.sleep(self.random.choice((0, 0, 0.01, 0.1, 1, 4, 10, 40)))

    async def step(self, replica: Replica, files: FileSystem, name: VirtualPath, other: VirtualPath) -> None:
        what = self.random.choice(["put"] * 6 + ["slow", "remove", "remove", "rename", "rename", "df"])
        if what in ("put", "slow"):
            upload = await files.open_writer(name, TRUNC)
            try:
                at = 0
                for _ in range(self.random.randint(0, 4)):
                    size = self.random.randint(0, 15)
                    await upload.write(at, bytes(size))
                    at += size
                    if what == "slow":
                        await upload.sync()
                        await asyncio.sleep(self.random.choice((0.1, 3, 30, 100)))
                if self.random.random() < 0.85:
                    await upload.close()
            finally:
                await upload.abort()
        elif what == "remove":
            await files.remove(name)
        elif what == "rename":
            await files.rename(name, other, overwrite=self.random.random() < 0.7)
        else:
            await files.usage(name)

    def clients(self, replica: Replica) -> list[asyncio.Task[None]]:
        return [replica.begin(self.client(replica)) for _ in range(3)]

    async def run(self) -> None:
        clients = {each: self.clients(each) for each in self.replicas}
        for _ in range(self.random.randint(1, 3) if self.crashes else 0):
            await asyncio.sleep(self.random.choice((0.05, 0.5, 5, 50)) * self.random.random())
            at = self.random.randrange(len(self.replicas))
            await self.replicas[at].crash()
            del clients[self.replicas[at]]
            self.replicas[at] = self.replica()
            clients[self.replicas[at]] = self.clients(self.replicas[at])
        every = [task for tasks in clients.values() for task in tasks]
        for done in await asyncio.gather(*every, return_exceptions=True):
            if isinstance(done, Exception):
                raise done
        self.is_calm = True
        assert self.bucket.exceeded == []
        await asyncio.sleep(3 * INTERVAL)  # the last turn
        if not self.crashes and not self.outages:
            self.check_table()
        await asyncio.sleep(DEAD_SECONDS + 200)
        files = self.replicas[0].files(Quota(100, 12), "acme/", Mount("/in", "acme/in/", quota=Quota(60, 7)))
        for name in ("/", "/in"):  # what is doubtful is counted again
            await files.usage(path(name))
        await asyncio.sleep(3 * INTERVAL)
        self.check_table()
        for each in self.replicas:
            assert each.metrics.table.total(SHARED_STATE_DOWN.row()) == 0
            await each.stop()

    def check_table(self) -> None:
        """The table knows what is stored, and nothing is set aside."""
        stored = {record_in(item).stored for item in self.items.items.values()}
        assert all(not record_in(item).shares for item in self.items.items.values())
        assert stored - {None} <= {self.bucket.used(), self.bucket.used(b"acme/in/")}


@pytest.mark.parametrize("crashes", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_whatever_replicas_do_at_once_the_quota_is_never_exceeded(seed: int, crashes: bool) -> None:
    async def trial() -> None:
        await Trial(seed, crashes=crashes, outages=False).run()

    run_in_virtual_time(trial())


@pytest.mark.parametrize("seed", range(5))
def test_after_outages_everything_is_told_once(seed: int) -> None:
    async def trial() -> None:
        await Trial(seed, crashes=False, outages=True).run()

    run_in_virtual_time(trial())
