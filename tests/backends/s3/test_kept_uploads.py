"""Uploads that end without CLOSE are kept for their user, and continued whole or not at all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from s3sftp.backends.contract import Finish, Session
from s3sftp.backends.kept_uploads import KeepLimits
from s3sftp.backends.s3.kept.kept_sweeper import KeptSweeper
from s3sftp.backends.s3.kept.records import name_of_record
from s3sftp.backends.s3.recovery.janitor import Janitor
from s3sftp.errors import AlreadyExists, Changed, StorageError, StorageFailure
from tests.backends.s3.conftest import ALICE, PART, Opener, place
from tests.backends.s3.kept_replica import DATA, LIMITS, Replica
from tests.backends.s3.upload_driver import begin, data_of, get, names, put
from tests.support.s3_client import S3

BOB = Session("bob")

NewReplica = Callable[..., Awaitable[Replica]]


@pytest.fixture
async def new_replica(open_backend: Opener) -> AsyncIterator[NewReplica]:
    async with AsyncExitStack() as life:

        async def opened(state: Path | None = None, limits: KeepLimits = LIMITS, **changes: Any) -> Replica:
            replica = Replica(await open_backend(state, **changes), limits)
            life.push_async_callback(replica.kept.stop)
            return replica

        yield opened


@pytest.fixture
async def one(new_replica: NewReplica) -> Replica:
    return await new_replica()


@pytest.fixture
async def other(new_replica: NewReplica) -> Replica:
    return await new_replica()


async def _hidden(s3: S3) -> list[str]:
    return await s3.keys("tenant/.s3sftp/kept/")


async def _uploads(s3: S3) -> int:
    return len(await s3.multipart_uploads())


async def _nothing_is_left(s3: S3) -> None:
    assert await _hidden(s3) == []
    assert await _uploads(s3) == 0


@pytest.mark.parametrize(("parts", "tail"), [(2, 1000), (2, 0), (0, 1000)])
async def test_what_is_kept_is_continued_on_another_replica(
    one: Replica, other: Replica, s3: S3, parts: int, tail: int
) -> None:
    size = parts * PART + tail
    assert await one.lose(parts, DATA[parts * PART : size]) == size
    assert await names(one.backend, "") == []
    assert await other.size() == size
    await other.go_on()
    assert await get(one.backend, "f", 0, len(DATA)) == DATA
    assert await other.size() is None
    await _nothing_is_left(s3)


async def test_parts_are_found_after_the_process_was_killed(one: Replica, other: Replica, s3: S3) -> None:
    await one.send(await one.begin(), 2)  # and nothing more is heard of it
    assert await other.size() == 2 * PART
    await other.go_on()
    assert await get(other.backend, "f", 0, len(DATA)) == DATA
    await _nothing_is_left(s3)


async def test_an_upload_that_was_continued_is_kept_again(one: Replica, other: Replica) -> None:
    await one.lose(1, DATA[PART : PART + 10])
    upload = await other.begin(exclusive=True)
    assert await other.kept.adopt(upload, ALICE, None) is not None
    await other.send(upload, 1, at=1)
    assert await other.kept.keep(upload, DATA[2 * PART : 2 * PART + 7], ALICE) == 2 * PART + 7
    assert await one.size() == 2 * PART + 7
    await one.go_on()
    assert await get(one.backend, "f", 0, len(DATA)) == DATA


async def test_a_continued_upload_that_is_killed_still_has_its_tail(one: Replica, other: Replica) -> None:
    await one.lose(1, DATA[PART : PART + 10])
    upload = await other.begin(exclusive=True)
    assert await other.kept.adopt(upload, ALICE, None) is not None
    assert await one.size() == PART + 10
    await one.go_on()
    assert await get(one.backend, "f", 0, len(DATA)) == DATA


@pytest.mark.parametrize("parts", [0, 1])
async def test_one_of_two_that_continue_an_upload_succeeds(
    one: Replica, other: Replica, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    await one.lose(parts, b"tail")
    first, second = await one.begin(exclusive=True), await other.begin(exclusive=True)
    start_of = one.kept.stored.start_of

    async def overtaken(record: Any) -> Any:
        found = await start_of(record)
        assert await other.kept.adopt(second, ALICE, None) is not None
        return found

    monkeypatch.setattr(one.kept.stored, "start_of", overtaken)
    with pytest.raises(Changed):
        await one.kept.adopt(first, ALICE, None)
    await one.backend.abort_write(first, ALICE)
    await other.backend.finish_write(second, b"tail, and more", Finish(parts * PART + 14), ALICE)
    assert await get(one.backend, "f", parts * PART, parts * PART + 14) == b"tail, and more"


async def test_the_former_owner_does_not_abort_what_another_has_continued(
    one: Replica, other: Replica
) -> None:
    former = await one.begin()
    await one.send(former, 2)
    continued = await other.begin(exclusive=True)
    assert await other.kept.adopt(continued, ALICE, None) is not None
    with pytest.raises(Changed):
        await one.kept.keep(former, b"", ALICE)
    await one.backend.abort_write(former, ALICE)
    await other.send(continued, 1, at=2)
    await other.backend.finish_write(continued, DATA[3 * PART :], Finish(len(DATA)), ALICE)
    assert await get(one.backend, "f", 0, len(DATA)) == DATA


async def test_another_user_finds_nothing(one: Replica) -> None:
    await one.lose(1, b"tail")
    assert await one.size(session=BOB) is None
    upload = await one.begin(session=BOB, exclusive=True)
    assert await one.kept.adopt(upload, BOB, None) is None
    assert not await one.kept.discard(place("f"), BOB, by_removal=True)
    assert await one.size() == PART + 4


async def test_a_record_under_the_name_of_another_user_is_not_believed(one: Replica, s3: S3) -> None:
    await one.lose(1, b"tail")
    prefix = "tenant/.s3sftp/kept/"
    record = prefix + name_of_record("alice", "tenant/f")
    await s3.put(prefix + name_of_record("bob", "tenant/f"), await s3.body(record))
    assert await one.size(session=BOB) is None


async def test_a_stored_file_keeps_its_name_from_what_is_continued(one: Replica) -> None:
    await one.lose(2, b"tail")
    upload = await one.begin(exclusive=True)
    assert await one.kept.adopt(upload, ALICE, None) is not None
    await put(one.backend, "f", b"another")
    with pytest.raises(AlreadyExists):
        await one.backend.finish_write(upload, b"", Finish(2 * PART), ALICE)
    assert await get(one.backend, "f", 0, 7) == b"another"


async def test_nothing_is_kept_beside_a_stored_file(one: Replica, s3: S3) -> None:
    await put(one.backend, "f", b"stored")
    assert await one.lose(1, b"tail") is None
    await _nothing_is_left(s3)


async def test_a_damaged_tail_is_refused(one: Replica, s3: S3) -> None:
    await one.lose(1, b"tail")
    [tail] = [key for key in await _hidden(s3) if key.endswith(".tail")]
    await s3.put(tail, b"liat")
    with pytest.raises(StorageFailure, match="send the file again"):
        await one.kept.adopt(await one.begin(exclusive=True), ALICE, None)


async def test_parts_that_another_has_replaced_are_not_continued(one: Replica, s3: S3) -> None:
    await one.lose(2, b"")
    [(key, upload_id)] = await s3.multipart_uploads()
    await s3.client.upload_part(
        Bucket=s3.bucket, Key=key, UploadId=upload_id, PartNumber=1, Body=data_of(PART, 9)
    )
    assert await one.size() is None


@pytest.mark.parametrize("by_removal", [True, False])
async def test_discarding_leaves_nothing(one: Replica, s3: S3, by_removal: bool) -> None:
    await one.lose(1, b"tail")
    assert await one.kept.discard(place("f"), ALICE, by_removal=by_removal)
    await _nothing_is_left(s3)


async def test_a_new_upload_elsewhere_does_not_end_one_that_may_be_running(
    one: Replica, other: Replica
) -> None:
    running = await one.begin()
    await one.send(running, 2)
    assert await other.kept.discard(place("f"), ALICE, by_removal=False)
    await one.send(running, 1, at=2)
    await one.backend.finish_write(running, DATA[3 * PART :], Finish(len(DATA)), ALICE)
    assert await get(one.backend, "f", 0, len(DATA)) == DATA


async def test_a_new_upload_takes_the_place_of_what_was_kept(one: Replica, other: Replica, s3: S3) -> None:
    await one.lose(2, b"tail")
    assert await other.lose(1, b"") == PART
    assert await one.size() == PART
    assert len(await _hidden(s3)) == 1
    assert await _uploads(s3) == 1


async def test_an_upload_that_fails_is_not_kept(one: Replica, s3: S3) -> None:
    upload = await one.begin()
    await one.send(upload, 1)
    await one.backend.abort_write(upload, ALICE)
    await _nothing_is_left(s3)


async def test_the_limits_of_a_user_hold(new_replica: NewReplica, s3: S3) -> None:
    few = await new_replica(limits=KeepLimits(3600, 2, 10 * PART))
    small = await new_replica(limits=KeepLimits(3600, 9, PART))
    assert await few.lose(0, b"a" * 100, "a") == 100
    assert await few.lose(0, b"b", "b") == 1
    assert await few.lose(0, b"c", "c") is None
    assert await few.lose(0, b"more", "b") == 4, "one that is kept again is not one more"
    assert await few.lose(0, b"c", "c", BOB) == 1, "each user has their own"
    assert await small.lose(1, b"", "d") is None, "100 others are kept already"
    assert await _uploads(s3) == 0


def _aged(replica: Replica) -> KeptSweeper:
    """A sweeper to which all that is kept is too old."""
    replica.kept.limits = replace(replica.kept.limits, seconds=-10)
    return KeptSweeper(replica.kept)


async def test_what_is_too_old_is_removed(one: Replica, other: Replica, s3: S3) -> None:
    await one.lose(1, b"tail")
    assert await KeptSweeper(one.kept).sweep() == 0
    assert await one.size() == PART + 4
    assert await _aged(other).sweep() == 1
    await _nothing_is_left(s3)


async def test_a_tail_without_a_record_is_removed(one: Replica, s3: S3) -> None:
    await one.lose(0, b"tail")
    [record] = [key for key in await _hidden(s3) if key.endswith(".json")]
    await s3.delete(record)
    await _aged(one).sweep()
    await _nothing_is_left(s3)


async def test_an_upload_that_runs_here_is_never_too_old(one: Replica, s3: S3) -> None:
    upload = await one.begin()
    await one.send(upload, 1)
    assert await _aged(one).sweep() == 0
    await one.backend.finish_write(upload, b"end", Finish(PART + 3), ALICE)


async def test_the_janitor_spares_what_a_record_keeps(
    new_replica: NewReplica, s3: S3, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    dead = await new_replica(state, janitor_min_age=timedelta(0), journal="disk")
    await dead.send(await dead.begin(), 2)
    await dead.send(await dead.begin("gone"), 1)
    await dead.kept.objects.delete(name_of_record("alice", "tenant/gone"))
    other = await new_replica(state, janitor_min_age=timedelta(0), journal="disk")
    await _sweep_after(dead, other)
    assert await other.size() == 2 * PART
    assert await _uploads(s3) == 1, "the one without a record is aborted"
    [key] = [key for key in await _hidden(s3) if key.endswith(".json")]
    assert json.loads(await s3.body(key))["state"] == "kept", "the record has taken it over"
    await other.go_on()


async def _sweep_after(dead: Replica, other: Replica) -> None:
    """Let the janitor of a replica find what another has left that was killed."""
    await dead.backend.journal.stop()  # lets go of the lock, as a process that was killed
    await other.backend.janitor.stop()
    janitor = Janitor(other.backend.client, other.backend.journal)
    janitor.spares(other.kept.keeps)
    await janitor.sweep()


@pytest.mark.parametrize(
    ("limits", "stay"),
    [(KeepLimits(3600, 2, 10 * PART), 2), (KeepLimits(3600, 9, PART), 1), (KeepLimits(3600, 9, 1), 0)],
    ids=["number", "bytes", "none fits"],
)
async def test_the_limits_of_a_user_hold_for_what_a_killed_server_has_left(
    new_replica: NewReplica, s3: S3, tmp_path: Path, limits: KeepLimits, stay: int
) -> None:
    options: dict[str, Any] = {"janitor_min_age": timedelta(0), "journal": "disk"}
    dead = await new_replica(tmp_path / "state", limits, **options)
    for path in ("a", "b", "c"):
        await dead.send(await dead.begin(path), 1)
    other = await new_replica(tmp_path / "state", limits, **options)
    await _sweep_after(dead, other)
    assert len(await _hidden(s3)) == stay
    assert await _uploads(s3) == stay


async def test_a_limit_ends_no_upload_that_another_replica_has_continued(
    new_replica: NewReplica, other: Replica, s3: S3, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"janitor_min_age": timedelta(0), "journal": "disk"}
    dead = await new_replica(tmp_path / "state", **options)
    await dead.send(await dead.begin(), 1)
    continued = await other.begin(exclusive=True)
    assert await other.kept.adopt(continued, ALICE, None) is not None
    await _sweep_after(dead, await new_replica(tmp_path / "state", KeepLimits(3600, 9, 1), **options))
    await other.send(continued, 1, at=1)
    assert await other.kept.keep(continued, DATA[2 * PART : 2 * PART + 7], ALICE) == 2 * PART + 7


async def test_a_record_that_cannot_be_written_does_not_stop_the_upload(
    one: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> str:
        raise StorageFailure("down")

    monkeypatch.setattr(one.kept.objects, "put", fail)
    upload = await one.begin()
    await one.send(upload, 1)
    await one.backend.finish_write(upload, b"end", Finish(PART + 3), ALICE)
    assert await get(one.backend, "f", PART, PART + 3) == b"end"


async def test_an_upload_is_aborted_if_it_cannot_be_kept(
    one: Replica, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await one.begin()
    await one.send(upload, 1)

    async def fail(*_: object, **__: object) -> str:
        raise StorageFailure("down")

    with monkeypatch.context() as broken:
        broken.setattr(one.kept.objects, "put", fail)
        with pytest.raises(StorageError):
            await one.kept.keep(upload, b"tail", ALICE)
    await one.backend.abort_write(upload, ALICE)
    await _nothing_is_left(s3)


async def test_an_upload_that_is_not_watched_has_no_record(one: Replica, s3: S3) -> None:
    upload = await begin(one.backend, "f")
    await one.send(upload, 1)
    assert await _hidden(s3) == []
    assert await one.kept.keep(upload, b"tail", ALICE) is None
    await one.backend.abort_write(upload, ALICE)
