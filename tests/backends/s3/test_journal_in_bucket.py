"""With the journal in the bucket each replica aborts what others that are gone have left, and no more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from s3sftp.backends.s3 import S3Backend
from s3sftp.backends.s3.recovery.bucket_journal import BucketJournal
from s3sftp.backends.s3.recovery.liveness import Liveness
from s3sftp.errors import StorageError
from tests.backends.s3.conftest import ALICE, PART, Opener
from tests.backends.s3.upload_driver import begin, data_of, put
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, CutBody, HoldReply, LoseReply
from tests.support.logs import capture_events
from tests.support.s3_client import S3

PIECE = data_of(PART)
QUICK = {"journal": "bucket", "janitor_min_age": timedelta(0)}
"""The lease is renewed every fifth of a second, and who is silent for two seconds is dead."""
RESERVED = "tenant/.s3sftp/"
BOTH = pytest.mark.parametrize("store", ["seaweed", "moto"], indirect=True)


async def claims_in(s3: S3) -> list[str]:
    """The keys of claims, without those of leases: an upload that takes long enough has one."""
    return [key for key in await s3.keys(RESERVED) if key.endswith(".json")]


def claims_of(backend: S3Backend) -> BucketJournal:
    storage = backend.journal._storage
    assert isinstance(storage, BucketJournal)
    return storage


async def crash(backend: S3Backend) -> None:
    """What a SIGKILL leaves: objects that nobody changes any more."""
    await backend.janitor.stop()
    renewing = claims_of(backend)._renewing
    if renewing is not None:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


async def until(check: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(0.05)


def swept_clean(backend: S3Backend, s3: S3) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        await backend.janitor.sweep()
        return await s3.multipart_uploads() == [] and await s3.keys(RESERVED) == []

    return check


@BOTH
async def test_an_upload_is_in_the_bucket_from_before_it_exists_until_it_has_ended(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend(journal="bucket")
    held = proxy.on("CreateMultipartUpload", do=HoldReply(), times=1)
    chunk = asyncio.create_task(backend.write_chunk(upload := await begin(backend, "f"), PIECE, ALICE))
    await held.reached()
    [key] = await s3.keys(RESERVED)
    claim = json.loads(await s3.body(key))
    assert (claim["key"], "upload_id" in claim) == ("tenant/f", False)
    held.release()
    await chunk
    [(_, upload_id)] = await s3.multipart_uploads()
    assert json.loads(await s3.body(key))["upload_id"] == upload_id
    await backend.abort_write(upload, ALICE)
    await put(backend, "f", data_of(PART + 1))
    assert await s3.keys(RESERVED) == []


@BOTH
async def test_what_a_killed_replica_left_is_aborted_by_others_and_nothing_stays(
    open_backend: Opener, s3: S3
) -> None:
    dead = await open_backend(**QUICK)
    await dead.write_chunk(await begin(dead, "f"), PIECE, ALICE)
    await dead.journal.claim("tenant/never-created")
    await until(lambda: s3.exists(f"{claims_of(dead)._root}{claims_of(dead)._instance}/lease"))
    await crash(dead)
    stranger = await s3.client.create_multipart_upload(Bucket=s3.bucket, Key="tenant/f")
    about = {"Bucket": s3.bucket, "Key": "tenant/f", "UploadId": stranger["UploadId"]}
    await s3.client.upload_part(**about, PartNumber=1, Body=b"theirs")
    one, other = await open_backend(**QUICK), await open_backend(**QUICK)

    async def only_the_strangers() -> bool:
        await asyncio.gather(one.janitor.sweep(), other.janitor.sweep())
        return len(await s3.multipart_uploads()) == 1 and await s3.keys(RESERVED) == []

    await until(only_the_strangers)
    assert [upload_id for _, upload_id in await s3.multipart_uploads()] == [stranger["UploadId"]]


async def test_uploads_of_a_replica_that_lives_are_left_alone_however_long_they_take(
    open_backend: Opener, s3: S3
) -> None:
    living, observer = await open_backend(**QUICK), await open_backend(**QUICK)
    upload = await begin(living, "f")
    await living.write_chunk(upload, PIECE, ALICE)
    claims = claims_of(observer)
    for _ in range(8):  # four seconds; two would do
        await asyncio.sleep(0.5)
        assert await observer.janitor.sweep() == 0
    assert len(claims._silence) == 1
    assert len(await s3.multipart_uploads()) == 1
    await living.abort_write(upload, ALICE)
    await until(swept_clean(observer, s3))


async def test_how_long_a_replica_must_be_silent_depends_on_its_own_interval(
    open_backend: Opener, s3: S3
) -> None:
    """One with other settings is not taken for dead by those of a replica that waits less."""
    slow = await open_backend(journal="bucket", janitor_min_age=timedelta(hours=1))
    await slow.write_chunk(await begin(slow, "f"), PIECE, ALICE)
    await crash(slow)
    observer = await open_backend(**QUICK)
    clock = 0.0
    claims_of(observer)._clock = lambda: clock
    assert await observer.janitor.sweep() == 0
    clock = 599.0
    assert await observer.janitor.sweep() == 0
    clock = 601.0
    assert await observer.janitor.sweep() == 1


async def test_one_that_was_paused_and_taken_for_dead_fails_at_close_and_publishes_nothing(
    open_backend: Opener, s3: S3
) -> None:
    paused, observer = await open_backend(**QUICK), await open_backend(**QUICK)
    await s3.put("tenant/f", b"old")
    upload = await begin(paused, "f")
    await paused.write_chunk(upload, PIECE, ALICE)
    await crash(paused)  # it gives no sign of life, but it will go on
    await until(swept_clean(observer, s3))
    with pytest.raises(StorageError):
        await paused.finish_write(upload, b"tail", _finish(PART + 4), ALICE)
    await paused.abort_write(upload, ALICE)
    assert await s3.body("tenant/f") == b"old"
    assert await s3.keys() == ["tenant/f"]


def _finish(size: int) -> Any:
    from s3sftp.backends.contract import Finish

    return Finish(size)


async def test_where_the_journal_is_denied_uploads_go_on_with_one_warning(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend(**QUICK)
    for api in ("PutObject", "DeleteObject", "ListObjectsV2"):
        proxy.on(api, key=r"\.s3sftp/", do=Answer(403, "AccessDenied"))
    with capture_events() as logs:
        for name in ("f", "g"):
            await put(backend, name, data_of(PART + 1))
    warned = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert warned == ["journal.write_failed"]
    assert await s3.keys() == ["tenant/f", "tenant/g"]
    proxy.clear()
    with capture_events() as logs:
        await put(backend, "h", data_of(PART + 1))
    assert "journal.recovered" in [line["event"] for line in logs]


async def test_a_claim_that_could_not_be_erased_is_erased_by_the_next_sweep(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend(**QUICK)
    proxy.on("DeleteObject", key=r"\.s3sftp/", do=Answer(403, "AccessDenied"))
    await put(backend, "f", data_of(PART + 1))
    proxy.clear()
    assert len(await claims_in(s3)) == 1
    await backend.janitor.sweep()
    assert await claims_in(s3) == []


async def test_a_server_that_stops_in_order_leaves_nothing(open_backend: Opener, s3: S3) -> None:
    backend = await open_backend(**QUICK)
    await backend.write_chunk(upload := await begin(backend, "f"), PIECE, ALICE)
    claims = claims_of(backend)
    await until(lambda: s3.exists(f"{claims._root}{claims._instance}/lease"))
    await backend.abort_write(upload, ALICE)
    await backend.stop()
    assert await s3.keys() == []


async def test_a_lease_that_is_being_renewed_does_not_hold_up_a_stop(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend(metadata_timeout=timedelta(minutes=10), **QUICK)
    await backend.write_chunk(upload := await begin(backend, "f"), PIECE, ALICE)
    await proxy.on("PutObject", key="/lease", do=HoldReply()).reached()
    await backend.abort_write(upload, ALICE)
    async with asyncio.timeout(20):
        await backend.stop()
    assert await s3.keys() == []


async def test_a_lost_reply_to_create_is_settled_by_another_replica(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    dead = await open_backend(attempts=1, **QUICK)
    proxy.on("CreateMultipartUpload", do=LoseReply(), times=1)
    with pytest.raises(StorageError):
        await dead.write_chunk(await begin(dead, "f"), PIECE, ALICE)
    await crash(dead)
    assert len(await s3.multipart_uploads()) == 1
    await until(swept_clean(await open_backend(**QUICK), s3))


async def test_a_claim_that_is_no_claim_or_of_another_prefix_is_left_alone(
    open_backend: Opener, s3: S3
) -> None:
    """It is told of once, and holds up no other."""
    dead = await open_backend(**QUICK)
    await dead.write_chunk(await begin(dead, "left"), PIECE, ALICE)
    dead.journal.abandon(await dead.journal.claim("tenant/unheard"))
    await crash(dead)
    foreign = await s3.client.create_multipart_upload(Bucket=s3.bucket, Key="elsewhere/f")
    await s3.client.create_multipart_upload(Bucket=s3.bucket, Key="tenant/f")
    told: dict[str, Any] = {"endpoint": "", "bucket": "", "key": "tenant/f", "claimed_at": 1}
    wrong = [{"claimed_at": 1e300}, {"claimed_at": -1e300}, {"renewed_every": 1e300}, {"requests": 0}]
    bodies = [json.dumps(told | {"key": "elsewhere/f", "upload_id": foreign["UploadId"]}).encode()]
    bodies += [json.dumps(told | fields).encode() for fields in wrong]
    bodies += [b"", b"{", b"[]", b"\xff", b'{"claimed_at": NaN}', bytes(100_000)]
    keys = [f"{RESERVED}uploads/{number:032x}/{number:032x}.json" for number in range(len(bodies))]
    for key, body in zip(keys, bodies, strict=True):
        await s3.put(key, body)
    observer = await open_backend(**QUICK)
    await observer.janitor.stop()
    hours = iter(range(100))
    claims_of(observer)._clock = lambda: 3600.0 * next(hours)
    with capture_events() as logs:
        assert [await observer.janitor.sweep() for _ in range(4)] == [0, 1, 0, 0]
    assert await s3.keys(RESERVED) == keys
    assert sorted(key for key, _ in await s3.multipart_uploads()) == ["elsewhere/f", "tenant/f"]
    unreadable = [line["file"] for line in logs if line["event"] == "journal.claim_unreadable"]
    assert sorted(unreadable) == keys[:-1]  # the last is too long to be read
    assert all("\n" not in line.get("error", "") for line in logs)
    assert {line["event"] for line in logs if line["log_level"] == "warning"} == {"journal.claim_unreadable"}


async def test_a_claim_that_cannot_be_read_now_stops_the_settling_of_others_not_for_ever(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    """It may name the upload that an unheard one is looked for among."""
    running, observer = await open_backend(journal="bucket"), await open_backend(attempts=1, **QUICK)
    await observer.janitor.stop()
    upload = await begin(running, "f")
    await upload.multipart._created()  # and no part is there yet
    entry = await observer.journal.claim("tenant/f")
    observer.journal.abandon(entry)
    fault = proxy.on("GetObject", key=r"\.s3sftp/", do=CutBody(5))
    assert await observer.janitor.sweep() == 0
    assert observer.journal.abandoned == [entry]
    assert len(await s3.multipart_uploads()) == 1
    assert fault.hits
    proxy.clear()
    assert await observer.janitor.sweep() == 0
    assert observer.journal.abandoned == []
    assert len(await s3.multipart_uploads()) == 1
    await running.abort_write(upload, ALICE)


async def test_a_replica_whose_claim_can_never_be_read_holds_up_no_other(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    """As when the bucket's rules have moved it to an archive."""
    archived, dead = await open_backend(**QUICK), await open_backend(**QUICK)
    await archived.write_chunk(await begin(archived, "f"), PIECE, ALICE)
    await dead.write_chunk(await begin(dead, "g"), PIECE, ALICE)
    await crash(archived)
    await crash(dead)
    proxy.on("GetObject", key=claims_of(archived)._instance, do=Answer(403, "InvalidObjectState"))
    observer = await open_backend(**QUICK)
    with capture_events() as logs:

        async def is_aborted() -> bool:
            await observer.janitor.sweep()
            return [key for key, _ in await s3.multipart_uploads()] == ["tenant/f"]

        await until(is_aborted)
    assert [line["event"] for line in logs].count("journal.read_failed") == 1
    proxy.clear()
    await until(swept_clean(observer, s3))


async def test_while_the_store_does_not_answer_nobody_grows_silent(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    """Those that live could not renew their leases either, and may do so just after the observer looks."""
    living, observer = await open_backend(journal="bucket"), await open_backend(journal="bucket", attempts=1)
    await living.write_chunk(await begin(living, "f"), PIECE, ALICE)
    clock = 0.0
    claims_of(observer)._clock = lambda: clock
    for entry in living.journal._entries:  # old enough by its own clock
        await entry._record.write(replace(entry.claim, claimed_at=1.0))
    assert await observer.janitor.sweep() == 0
    fault = proxy.on("ListObjectsV2", query="s3sftp", do=Answer(503, "ServiceUnavailable"))
    clock = 3000.0
    assert await observer.janitor.sweep() == 0
    assert fault.hits
    proxy.clear()
    clock = 4000.0
    assert await observer.janitor.sweep() == 0
    assert len(await s3.multipart_uploads()) == 1
    clock = 7601.0  # an hour of answers that show nothing new
    assert await observer.janitor.sweep() == 1


async def test_a_lease_that_cannot_be_renewed_is_told_with_what_follows(
    open_backend: Opener, proxy: FaultProxy
) -> None:
    backend = await open_backend(**QUICK)
    fault = proxy.on("PutObject", key=r"\.s3sftp/.*/lease", do=Answer(403, "AccessDenied"))
    with capture_events() as logs:
        upload = await begin(backend, "f")
        await backend.write_chunk(upload, PIECE, ALICE)
        await fault.reached()
        async with asyncio.timeout(20):
            while not any(line["event"] == "journal.lease_renewal_failed" for line in logs):
                await asyncio.sleep(0.02)
    [told] = [line for line in logs if line["event"] == "journal.lease_renewal_failed"]
    assert "abort its unfinished uploads" in told["advice"]
    await backend.abort_write(upload, ALICE)


async def test_where_own_claims_cannot_be_erased_those_of_the_dead_are_still_looked_at(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    dead, living = await open_backend(**QUICK), await open_backend(**QUICK)
    await dead.write_chunk(await begin(dead, "f"), PIECE, ALICE)
    await crash(dead)
    proxy.on("DeleteObject", key=r"\.s3sftp/", do=Answer(403, "AccessDenied"))
    await put(living, "g", data_of(PART + 1))

    async def is_aborted() -> bool:
        await living.janitor.sweep()
        return await s3.multipart_uploads() == []

    await until(is_aborted)
    proxy.clear()
    await until(swept_clean(living, s3))


async def test_an_own_lease_that_could_not_be_erased_is_erased_by_the_next_sweep(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend(**QUICK)
    upload = await begin(backend, "f")
    await backend.write_chunk(upload, PIECE, ALICE)
    proxy.on("DeleteObject", key="/lease$", do=Answer(403, "AccessDenied"))
    await until(lambda: _has_seen(s3, "/lease"))
    await backend.abort_write(upload, ALICE)
    renewing = claims_of(backend)._renewing
    assert renewing is not None
    await renewing
    assert await _has_seen(s3, "/lease")
    proxy.clear()
    await backend.janitor.sweep()
    assert await s3.keys(RESERVED) == []


async def _has_seen(s3: S3, end: str) -> bool:
    return any(key.endswith(end) for key in await s3.keys(RESERVED))


def test_who_shows_something_new_is_alive_and_what_is_gone_is_no_sign() -> None:
    silence = Liveness()
    first, second, renewed = ("a", "1", "t"), ("b", "1", "t"), ("a", "2", "t")
    assert silence.of({"i": {first, second}}, 0.0, 1.0) == {"i": 0.0}
    assert silence.of({"i": {first, second}}, 11.0, 12.0) == {"i": 10.0}
    assert silence.of({"i": {first}}, 21.0, 22.0) == {"i": 20.0}
    assert silence.of({"i": {renewed}}, 31.0, 32.0) == {"i": 0.0}
    assert silence.of({"i": {renewed}}, 33.0, 34.0) == {"i": 1.0}
    assert silence.of({}, 35.0, 36.0) == {}
    assert len(silence) == 0
