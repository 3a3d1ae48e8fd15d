"""What a quota refuses, when, and how: nothing that exceeds it is stored, and nothing else is refused."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import ClassVar

import pytest

from s3sftp.app.operation_trial import OperationTrial, parse_operation
from s3sftp.auth import Identity
from s3sftp.backends import Amount, Buffer, FileInfo, Finish, Place, Session, Upload, Usage
from s3sftp.backends.memory import MemoryBackend
from s3sftp.errors import (
    Changed,
    ConfigurationError,
    NoSpace,
    NotFound,
    PermissionDenied,
    StorageError,
    StorageFailure,
)
from s3sftp.fs import (
    AccessRules,
    FileOptions,
    FileSystem,
    Mount,
    Mounts,
    NewAttributes,
    OpenStorage,
    Quota,
    SharedQuotaCounts,
    WriteMode,
    rights_of,
)
from s3sftp.fs.quota import QuotaLedger
from s3sftp.fs.quota.counting import CountedPlace
from s3sftp.fs.quota.quotas import Counts, Taken, Tally, reconciled, size_text
from s3sftp.fs.quota.shared_counts import ROWS
from s3sftp.runtime.shared_counters import SharedCounters, create_shared_file
from s3sftp.telemetry.metric_catalogue import LIMITS_REACHED
from s3sftp.telemetry.metrics import Metrics
from tests.fs.test_rights import path, write

TRUNC, NEW = WriteMode(truncate=True), WriteMode(exclusive=True)
SEEDS = {"acme/a": bytes(40), "acme/d/b": bytes(20), "acme/e/": b"", "acme-2/other": bytes(500)}
LIMIT = 100


class Waiting(MemoryBackend):
    """Counts how often it is listed, lists when it may, and knows what was stored before that."""

    counts = 0
    may_list: asyncio.Event | None = None
    stored_too_early = 0

    async def total_below(self, place: Place, session: Session) -> Amount:
        self.counts += 1
        total = await super().total_below(place, session)
        if self.may_list is not None:
            await self.may_list.wait()
        return total

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        if self.may_list is not None and not self.may_list.is_set():
            self.stored_too_early += 1
        return await super().finish_write(upload, tail, finish, session)


class Together(MemoryBackend):
    """Nobody stores a file before all have come so far."""

    together: asyncio.Barrier | None = None

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        if self.together is not None:
            await self.together.wait()
        return await super().finish_write(upload, tail, finish, session)


def files_on(
    backend: MemoryBackend,
    quota: Quota = Quota(LIMIT),  # noqa: B008  frozen
    volume: OpenStorage | None = None,
) -> FileSystem:
    volume = volume or OpenStorage(backend, FileOptions(), metrics=Metrics())
    return FileSystem(volume, Mounts.of("acme/", quota=quota), Session("acme"))


@pytest.fixture
def backend() -> Waiting:
    return Waiting(SEEDS, chunk_bytes=10, min_chunk_bytes=1)


@pytest.fixture
def columns() -> Iterator[list[SharedCounters]]:
    memory = create_shared_file(ROWS, 2)
    yield [SharedCounters.shared(memory, 2, column) for column in (0, 1)]
    os.close(memory)


def of(backend: MemoryBackend) -> int:
    return sum(len(data) for key, data in backend.contents().items() if key.startswith("acme/"))


async def test_a_small_file_that_goes_beyond_is_refused_at_close_and_not_stored(backend: Waiting) -> None:
    files = files_on(backend)
    upload = await files.open_writer(path("/new"), TRUNC)
    await upload.write(0, bytes(8))
    await write(files, "/other", data=bytes(35))
    with pytest.raises(NoSpace, match="quota exceeded: at most 100 bytes may be stored here") as refused:
        await upload.close()
    assert refused.value.rule == "quota.bytes: 100"
    assert "acme/new" not in backend.contents()
    assert backend.open_uploads == 0
    await write(files, "/new", data=bytes(5))
    assert of(backend) == LIMIT


async def test_a_large_file_fails_at_the_part_that_goes_beyond(backend: Waiting) -> None:
    files = files_on(backend)
    await files.usage(path("/"))
    upload = await files.open_writer(path("/new"), TRUNC)
    with pytest.raises(NoSpace, match="quota exceeded"):
        for at in range(0, 200, 10):
            await upload.write(at, bytes(10))
            await upload.sync()
    assert at <= 70
    await upload.abort()
    await write(files, "/new", data=bytes(40))  # what was held is free again


async def test_a_full_quota_refuses_a_new_file_at_open_and_lets_replacing_and_removing_pass(
    backend: Waiting,
) -> None:
    files = files_on(backend)
    await write(files, "/c", data=bytes(40))
    for mode in (TRUNC, NEW, WriteMode()):
        with pytest.raises(NoSpace, match="quota exceeded"):
            upload = await files.open_writer(path("/new"), mode)
            await upload.write(0, b"x")
            await upload.close()
    with pytest.raises(NoSpace):
        await files.open_writer(path("/new"), NEW)
    await write(files, "/a", data=bytes(30))
    await files.remove(path("/c"))
    await write(files, "/new", data=bytes(50))
    assert of(backend) == LIMIT
    with pytest.raises(NoSpace):
        await write(files, "/a", data=bytes(31))
    assert of(backend) == LIMIT


async def test_a_file_that_replaces_another_needs_only_the_difference_even_while_it_is_sent(
    backend: Waiting,
) -> None:
    files = files_on(backend)
    upload = await files.open_writer(path("/a"), TRUNC)
    for at in range(0, 80, 10):
        await upload.write(at, bytes(10))
        await upload.sync()
    await upload.close()
    assert of(backend) == LIMIT


async def test_files_are_limited_too_and_directories_are_none(backend: Waiting) -> None:
    files = files_on(backend, Quota(files=3))
    await files.make_dir(path("/f"))
    await write(files, "/new", data=b"")
    with pytest.raises(NoSpace, match="at most 3 files may be stored here"):
        await write(files, "/newer", data=b"")
    await write(files, "/new", data=bytes(1000))
    await files.rename(path("/new"), path("/f/newest"), overwrite=False)
    await files.rename(path("/f/newest"), path("/a"), overwrite=True)
    await write(files, "/newer", data=b"")


async def test_appending_resizing_and_copying_count(backend: Waiting) -> None:
    files = files_on(backend)
    with pytest.raises(NoSpace):
        await write(files, "/a", WriteMode(append=True), bytes(41))
    await write(files, "/a", WriteMode(append=True), bytes(10))
    with pytest.raises(NoSpace):
        await files.set_attributes(path("/a"), NewAttributes(size=81))
    await files.set_attributes(path("/a"), NewAttributes(size=70))
    source = await files.open_reader(path("/d/b"))
    for name, fits in (("/copy", False), ("/d/c", False), ("/a", True)):
        target = await files.open_writer(path(name), TRUNC)
        await files.copy(source, 0, 0, target, 0)
        if fits:
            await target.close()
        else:
            with pytest.raises(NoSpace):
                await target.close()
    assert of(backend) == 40


async def test_what_moves_into_a_mount_counts_there_and_no_longer_where_it_was() -> None:
    backend = Waiting({"in/a": bytes(50), "in/d/b": bytes(30), "out/c": bytes(60)})
    mounts = Mounts.of(
        None, mounts=(Mount("/in", "in/", quota=Quota(100)), Mount("/out", "out/", quota=Quota(100)))
    )
    files = FileSystem(OpenStorage(backend, FileOptions()), mounts, Session("acme"))
    with pytest.raises(NoSpace):
        await files.rename(path("/in/a"), path("/out/a"), overwrite=False)
    await files.rename(path("/in/d"), path("/out/d"), overwrite=False)
    with pytest.raises(NoSpace):
        await files.rename(path("/out/c"), path("/in/c"), overwrite=False)
    await files.rename(path("/in/a"), path("/out/c"), overwrite=True)
    await write(files, "/in/new", data=bytes(100))
    await write(files, "/out/new", data=bytes(20))
    with pytest.raises(NoSpace):
        await write(files, "/out/newer", data=b"x")
    with pytest.raises(NoSpace):
        await files.rename(path("/out/d"), path("/in/d"), overwrite=False)


async def test_of_uploads_at_once_in_two_workers_just_those_succeed_that_fit(
    backend: Waiting, columns: list[SharedCounters]
) -> None:
    """The last moment of each is when it is committed: all of them are held there, and then let go."""
    volumes = [OpenStorage(backend, FileOptions(), quotas=SharedQuotaCounts(each)) for each in columns]
    sessions = [files_on(backend, volume=volume) for volume in volumes]
    uploads = [await sessions[at % 2].open_writer(path(f"/n{at}"), TRUNC) for at in range(12)]
    for upload in uploads:
        await upload.write(0, bytes(9))
    done = await asyncio.gather(*(upload.close() for upload in uploads), return_exceptions=True)
    assert sum(each is None for each in done) == 4
    assert all(each is None or isinstance(each, NoSpace) for each in done)
    assert of(backend) == 60 + 4 * 9


class Meeting(SharedQuotaCounts):
    """The first that holds more, in each of two workers, sees what the other holds."""

    waits: ClassVar[bool] = True

    def __init__(self, table: SharedCounters, together: asyncio.Future[Tally]) -> None:
        super().__init__(table)
        self._together = together
        self._has_met = False

    async def take(self, place: str, more: Amount, grows: Amount, quota: Quota) -> Taken:
        if self._has_met or more.files <= 0:
            return await super().take(place, more, grows, quota)
        self._has_met = True
        self.book(place, Counts(held=more))
        tally = await self.tally(place)
        if tally.counts.held.files == 2:
            self._together.set_result(tally)
        limit = quota.exceeded_by(grows, (await self._together).used)
        if limit is not None:
            self.book(place, Counts(held=Amount() - more))
        return Taken(tally, limit)


@pytest.mark.parametrize("quota", [Quota(70), Quota(files=3)], ids=["bytes", "files"])
async def test_of_two_that_see_each_other_and_fit_alone_one_is_stored(
    backend: Waiting, columns: list[SharedCounters], quota: Quota
) -> None:
    together: asyncio.Future[Tally] = asyncio.Future()
    volumes = [OpenStorage(backend, FileOptions(), quotas=Meeting(each, together)) for each in columns]
    sessions = [files_on(backend, quota, volume) for volume in volumes]
    uploads = []
    for at, files in enumerate(sessions):
        await files.usage(path("/"))
        uploads.append(await files.open_writer(path(f"/n{at}"), TRUNC))
        await uploads[at].write(0, bytes(9))
    async with asyncio.timeout(30):
        done = await asyncio.gather(*(upload.close() for upload in uploads), return_exceptions=True)
    assert sum(isinstance(each, NoSpace) for each in done) == 1
    assert done.count(None) == 1
    assert of(backend) == 60 + 9


async def test_users_of_one_prefix_share_its_count(backend: Waiting) -> None:
    volume = OpenStorage(backend, FileOptions())
    one, two = files_on(backend, Quota(LIMIT), volume), files_on(backend, Quota(70), volume)
    await write(one, "/x", data=bytes(20))
    with pytest.raises(NoSpace, match="at most 70 bytes"):
        await write(two, "/y", data=b"y")
    await write(one, "/y", data=bytes(20))
    assert backend.counts == 1


# ── counting ────────────────────────────────────────────────────────────────────────────────────────────


async def all_need_the_count(ledger: QuotaLedger, number: int) -> None:
    """Wait until that many changes need the first count: until then they may do what they can without it."""
    counter, enough, asked = ledger.counter, asyncio.Event(), 0
    ready = counter.ready

    async def asks(place: CountedPlace, session: Session) -> Tally:
        nonlocal asked
        asked += 1
        if asked == number:
            enough.set()
        return await ready(place, session)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counter, "ready", asks)
        await enough.wait()


async def test_nothing_is_counted_before_the_first_change_and_then_once(backend: Waiting) -> None:
    backend.may_list = asyncio.Event()
    volume = OpenStorage(backend, FileOptions())
    files = files_on(backend, volume=volume)
    await files.stat(path("/a"))
    assert backend.counts == 0
    uploads = [await files.open_writer(path(f"/n{at}"), TRUNC) for at in range(3)]
    for upload in uploads:
        for at in range(0, 30, 10):  # sent while the count runs
            await upload.write(at, bytes(10))
        await upload.sync()
    closing = [asyncio.ensure_future(upload.close()) for upload in uploads]
    async with asyncio.timeout(30):
        await all_need_the_count(volume.quotas, len(uploads))
    assert backend.contents() == {key: bytes(data) for key, data in SEEDS.items()}
    assert not any(each.done() for each in closing)
    backend.may_list.set()
    done = await asyncio.gather(*closing, return_exceptions=True)
    assert not backend.stored_too_early
    assert sum(each is None for each in done) == 1
    assert backend.counts == 1


async def test_what_was_sent_before_the_count_is_checked_at_close(backend: Waiting) -> None:
    """Also if the file that it replaces leaves less to add than was held unchecked."""
    backend.may_list = asyncio.Event()
    files = files_on(backend)
    upload = await files.open_writer(path("/d/b"), TRUNC)
    for at in range(0, 70, 10):
        await upload.write(at, bytes(10))
    await upload.sync()
    backend.may_list.set()
    with pytest.raises(NoSpace):
        await upload.close()
    assert of(backend) == 60
    await write(files, "/d/b", data=bytes(60))
    assert of(backend) == LIMIT


async def test_if_it_cannot_be_counted_nothing_is_added_but_removing_works(backend: Waiting) -> None:
    def fail(method: str, place: Place) -> None:
        if method == "total_below":
            raise StorageFailure(detail="out of order")

    backend.fail = fail
    files = files_on(backend)
    with pytest.raises(StorageFailure):
        await write(files, "/new")
    await files.remove(path("/a"))
    backend.fail = None
    await write(files, "/new", data=bytes(80))
    with pytest.raises(NoSpace):
        await write(files, "/newer", data=b"x")


async def test_before_a_refusal_a_count_that_is_old_is_renewed(backend: Waiting) -> None:
    now = [1000.0]
    volume = OpenStorage(backend, FileOptions())
    volume.quotas = QuotaLedger(volume.backend, recount_seconds=3600, clock=lambda: now[0])
    files = files_on(backend, volume=volume)
    await write(files, "/full", data=bytes(40))
    del backend.objects[b"acme/a"]  # by somebody else
    with pytest.raises(NoSpace):
        await write(files, "/new", data=bytes(40))
    now[0] += 61
    await write(files, "/new", data=bytes(40))
    assert backend.counts == 2


async def test_a_count_that_is_old_is_renewed_beside_the_change(backend: Waiting) -> None:
    now = [1000.0]
    volume = OpenStorage(backend, FileOptions())
    volume.quotas = ledger = QuotaLedger(volume.backend, recount_seconds=3600, clock=lambda: now[0])
    files = files_on(backend, volume=volume)
    await write(files, "/b", data=bytes(1))
    backend.put("acme/by others", bytes(30))
    now[0] += 3599
    await write(files, "/b", data=bytes(2))
    assert backend.counts == 1
    now[0] += 2
    backend.may_list = asyncio.Event()
    await write(files, "/b", data=bytes(2))
    assert backend.counts == 2
    backend.may_list.set()
    counted = ledger.counted(Place((b"acme",)))
    while counted.counting is not None:
        await asyncio.sleep(0)
    assert (await ledger.counter.tally(counted)).stored == Amount(92, 4)


async def test_a_count_finds_that_two_workers_which_replaced_one_file_both_took_it_away(
    columns: list[SharedCounters],
) -> None:
    """Both have looked at the old file before either has replaced it."""
    backend, now = Together(SEEDS, chunk_bytes=10, min_chunk_bytes=1), [1000.0]
    workers, ledgers = [], []
    for column in columns:
        volume = OpenStorage(backend, FileOptions())
        volume.quotas = QuotaLedger(
            volume.backend,
            recount_seconds=3600,
            counters=SharedQuotaCounts(column),
            clock=lambda: now[0],
        )
        ledgers.append(volume.quotas)
        workers.append(files_on(backend, volume=volume))
    for files in workers:
        await files.usage(path("/"))
    backend.together = asyncio.Barrier(2)
    await asyncio.gather(*(write(files, "/a", data=bytes(10)) for files in workers))
    backend.together = None
    assert of(backend) == 30
    for files in workers:
        assert (await files.usage(path("/"))).used_bytes == 0, "decision 43 says so"
    now[0] += 3601
    await workers[1].usage(path("/"))  # begins to count
    counted = ledgers[1].counted(Place((b"acme",)))
    while counted.counting is not None:
        await asyncio.sleep(0)
    for files in workers:
        assert (await files.usage(path("/"))).used_bytes == 30
        with pytest.raises(NoSpace):
            await write(files, "/more", data=bytes(71))


async def test_after_a_change_with_an_unknown_end_it_is_counted_again(backend: Waiting) -> None:
    now = [1000.0]
    volume = OpenStorage(backend, FileOptions())
    volume.quotas = ledger = QuotaLedger(volume.backend, recount_seconds=3600, clock=lambda: now[0])
    files = files_on(backend, volume=volume)
    await files.usage(path("/"))

    def fail(method: str, place: Place) -> None:
        if method == "delete":
            backend.objects.pop(b"acme/a", None)
            raise StorageFailure("no answer")

    backend.fail = fail
    with pytest.raises(StorageFailure):
        await files.remove(path("/a"))
    backend.fail = None
    now[0] += 61
    await files.usage(path("/"))
    counted = ledger.counted(Place((b"acme",)))
    while counted.counting is not None:
        await asyncio.sleep(0)
    assert (await ledger.counter.tally(counted)).stored == Amount(20, 1)


@pytest.mark.parametrize("error", [Changed, NotFound, PermissionDenied])
@pytest.mark.parametrize("name", ["a", "d"], ids=["file", "directory"])
@pytest.mark.parametrize("target", ["out", "acme"])
async def test_after_a_rename_that_left_its_copy_the_target_is_counted_again(
    backend: Waiting, error: type[StorageError], name: str, target: str
) -> None:
    """Somebody replaced the source after it was copied, or it may not be removed."""
    now = [1000.0]
    volume = OpenStorage(backend, FileOptions())
    volume.quotas = ledger = QuotaLedger(volume.backend, recount_seconds=3600, clock=lambda: now[0])
    mounts = Mounts.of(
        None,
        mounts=(
            Mount("/acme", "acme/", quota=Quota(LIMIT)),
            Mount("/out", "out/", quota=Quota(LIMIT)),
        ),
    )
    files = FileSystem(volume, mounts, Session("acme"))
    before = {mount: (await files.usage(path(f"/{mount}"))).used_bytes or 0 for mount in ("acme", "out")}

    def fail(method: str, place: Place) -> None:
        if method == "rename":
            backend.put(f"{target}/copy", bytes(20))
            raise error

    backend.fail = fail
    with pytest.raises(error):
        await files.rename(path(f"/acme/{name}"), path(f"/{target}/copy"), overwrite=False)
    backend.fail = None
    now[0] += 61
    await files.usage(path(f"/{target}"))
    counted = ledger.counted(Place((target.encode(),)))
    while counted.counting is not None:
        await asyncio.sleep(0)
    stored = before[target] + 20
    assert (await files.usage(path(f"/{target}"))).used_bytes == stored
    with pytest.raises(NoSpace):
        await write(files, f"/{target}/new", data=bytes(LIMIT - stored + 1))
    await write(files, f"/{target}/new", data=bytes(LIMIT - stored))


def tally(stored: int | None, **counts: Amount | int) -> Tally:
    return Tally(Counts(**counts), None if stored is None else Amount(stored, 1), 1.0)  # type: ignore[arg-type]


A = Amount


@pytest.mark.parametrize(
    ("before", "after", "listed", "stored"),
    [
        (tally(None), tally(None), 70, 70),
        (tally(50), tally(50), 70, 70),  # others have added
        (tally(50), tally(50), 30, 30),  # others have removed
        (tally(50), tally(60, added=A(10)), 50, 60),  # the listing had passed it
        (tally(50), tally(60, added=A(10)), 60, 60),  # it was listed
        (tally(50), tally(60, added=A(10)), 75, 75),
        (tally(50), tally(60, added=A(10)), 45, 55),
        (tally(50), tally(40, removed=A(10)), 50, 40),
        (tally(50), tally(40, removed=A(10)), 55, 45),
        (tally(50), tally(50, admitted=A(10)), 60, 50),  # listed, and to be booked yet
        (tally(50), tally(50, leaving=A(10)), 40, 50),
        (tally(50, moving=1), tally(50), 70, None),
        (tally(50), tally(50, moves=1), 70, None),
        (tally(50, added=A(7), removed=A(3), moves=4), tally(50, added=A(7), removed=A(3), moves=4), 70, 70),
    ],
)
def test_a_listing_corrects_only_what_changes_meanwhile_cannot_explain(
    before: Tally, after: Tally, listed: int, stored: int | None
) -> None:
    assert reconciled(before, after, Amount(listed, 1)) == (None if stored is None else Amount(stored, 1))


async def test_what_a_dead_worker_held_is_free_and_what_it_stored_counts(
    columns: list[SharedCounters],
) -> None:
    dead, living = map(SharedQuotaCounts, columns)
    more = Counts(
        held=A(5, 1), admitted=A(4, 1), leaving=A(3, 1), moving=1, added=A(20, 2), removed=A(1), moves=1
    )
    dead.book("place", more)
    before = await dead.tally("place")
    await dead.set_stored("place", A(100, 10), before, 1000.5)
    assert await living.tally("place") == Tally(more, A(100, 10), 1000.5)
    living.worker_is_gone(0)
    left = Counts(added=A(20, 2), removed=A(1), moves=1)
    assert await living.tally("place") == Tally(left, A(100, 10), 1000.5)
    again = SharedQuotaCounts(columns[0])  # its successor goes on with the same numbers
    again.book("place", Counts(added=A(7)))
    assert (await again.tally("place")).stored == A(107, 10)


async def test_more_places_than_there_is_room_for_are_counted_by_each_process_alone(
    columns: list[SharedCounters],
) -> None:
    counts, other = (SharedQuotaCounts(each.part(0, 64 * 16)) for each in columns)
    for number in range(100):
        counts.book(f"place {number}", Counts(held=A(number, 1)))
    for number in range(100):
        assert (await counts.tally(f"place {number}")).counts.held == A(number, 1)
    seen = [(await other.tally(f"place {number}")).counts.held.files for number in range(100)]
    assert 40 <= sum(seen) <= 64


# ── what others see ─────────────────────────────────────────────────────────────────────────────────────


async def test_usage_is_that_of_the_quota_with_the_least_room(backend: Waiting) -> None:
    volume = OpenStorage(backend, FileOptions())
    mounts = (
        Mount("/d", "acme/d/", quota=Quota(30, 10)),
        Mount("/free", "free/"),
        Mount("/e", "acme/e/", quota=Quota(1000)),
    )
    files = FileSystem(volume, Mounts.of("acme/", mounts=mounts, quota=Quota(LIMIT)), Session("acme"))
    assert await files.usage(path("/")) == Usage(100, 60)
    assert await files.usage(path("/d")) == Usage(30, 20, 10, 1)
    assert (await files.usage(path("/free"))).total_bytes is None
    assert await files.usage(path("/e")) == Usage(100, 60)
    upload = await files.open_writer(path("/new"), TRUNC)
    await upload.write(0, bytes(35))
    await upload.sync()
    assert (await files.usage(path("/"))).used_bytes == 90, "what is on its way counts"
    await upload.abort()
    assert await files.usage(path("/")) == Usage(100, 60)


async def test_who_may_only_write_does_not_learn_how_much_others_have_stored(backend: Waiting) -> None:
    rules = AccessRules(rights_of("drop-box"))
    mounts = Mounts.of(None, mounts=(Mount("/in", "acme/", rules=rules, quota=Quota(61)),))
    files = FileSystem(OpenStorage(backend, FileOptions()), mounts, Session("acme"))
    assert (await files.usage(path("/in"))).total_bytes is None
    with pytest.raises(NoSpace, match=r"^quota exceeded: at most 61 bytes may be stored here$"):
        await write(files, "/in/new", NEW, data=bytes(2))


async def test_a_dry_run_says_what_a_quota_would_refuse(backend: Waiting) -> None:
    identity = Identity("acme", "acme/", quota=Quota(LIMIT))
    trial = OperationTrial(backend, FileOptions(), identity, "192.0.2.1:1")
    for text, state, rule in (
        ("put /new 41", "refused", "quota.bytes: 100"),
        ("put /new 40", "allowed", None),
        ("put /a 80", "allowed", None),
        ("rm /a", "allowed", None),
    ):
        tried = await trial.run(parse_operation(text))
        assert (tried.state, tried.rule) == (state, rule), text
    assert backend.contents() == {key: bytes(data) for key, data in SEEDS.items()}


async def test_a_refusal_is_counted_in_the_metric_of_limits(backend: Waiting) -> None:
    metrics = Metrics()
    files = files_on(backend, volume=OpenStorage(backend, FileOptions(), metrics=metrics))
    with pytest.raises(NoSpace):
        await write(files, "/new", data=bytes(41))
    assert metrics.table.total(LIMITS_REACHED.row("quota")) == 1


async def test_who_has_no_quota_has_nothing_in_front_of_the_storage(backend: Waiting) -> None:
    volume = OpenStorage(backend, FileOptions())
    mounts = Mounts.of("acme/", quota=Quota(), mounts=(Mount("/free", "free/", quota=Quota()),))
    assert volume.for_quotas(mounts.quotas) == (volume.backend, volume.resources)


@pytest.mark.parametrize(
    ("prefix", "quota", "mounts", "problem"),
    [
        (None, Quota(1), (), "nothing is stored at '/'"),
        (
            "",
            Quota(),
            (Mount("/f", "f", file=True, quota=Quota(1)),),
            "mount '/f': a single file has no quota",
        ),
        ("", Quota(-1), (), "quota should have numbers of 0 or more"),
        ("", Quota(), (Mount("/f", "f/", quota=Quota(files=-1)),), "mount '/f': quota should have numbers"),
    ],
)
def test_a_quota_that_cannot_be_is_refused(
    prefix: str | None, quota: Quota, mounts: tuple[Mount, ...], problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Mounts.of(prefix, quota=quota, mounts=mounts)


def test_sizes_are_written_as_people_write_them() -> None:
    sizes = {0: "0 bytes", 1023: "1023 bytes", 1024: "1 KiB", 50 << 30: "50 GiB", 3 << 29: "1.5 GiB"}
    assert {size: size_text(size) for size in sizes} == sizes
