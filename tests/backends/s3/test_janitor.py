"""Unfinished uploads of servers that are gone are found by the journal and aborted; others' stay."""

from __future__ import annotations

import asyncio
import json
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from s3sftp.backends.s3.recovery.disk_journal import DiskJournal
from s3sftp.backends.s3.recovery.upload_journal import JournalEntry, UploadClaim, UploadJournal
from s3sftp.errors import PermissionDenied, StorageFailure
from tests.backends.s3.conftest import ALICE, PART, Opener
from tests.backends.s3.upload_driver import begin, data_of, put
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Hold, HoldReply, LoseReply
from tests.support.logs import capture_events
from tests.support.s3_client import S3

PIECE = data_of(PART)
NOW = {"janitor_min_age": timedelta(0)}


def crash(journal: UploadJournal) -> None:
    """What a SIGKILL leaves of a journal: its files, without the lock."""
    claims = journal._storage
    assert isinstance(claims, DiskJournal)
    assert claims._lock is not None
    os.close(claims._lock)
    claims._lock = claims._own = None


def journal_on(state: Path, endpoint: str = "", bucket: str = "b") -> UploadJournal:
    return UploadJournal(endpoint, bucket, DiskJournal(state, endpoint, bucket))


async def test_a_claim_is_on_the_disk_whole_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that stops in between leaves the whole claim, or none."""
    at_fsync: list[tuple[int, list[Path]]] = []

    def fsync(descriptor: int) -> None:
        at_fsync.append((os.fstat(descriptor).st_size, journal_files(tmp_path)))

    journal = journal_on(tmp_path)
    await journal.start()
    monkeypatch.setattr(os, "fsync", fsync)
    entry = await journal.claim("k")
    [file] = journal_files(tmp_path)
    assert at_fsync == [(file.stat().st_size, [])]
    assert json.loads(file.read_bytes())["key"] == "k"
    await entry.done()
    await journal.stop()


def journal_files(state: Path) -> list[Path]:
    return sorted((state / "uploads").glob("*/*.json"))


async def test_an_upload_is_in_the_journal_from_before_it_exists_until_it_has_ended(
    open_backend: Opener, s3: S3, tmp_path: Path, proxy: FaultProxy
) -> None:
    backend = await open_backend(tmp_path)
    upload = await begin(backend, "f")
    assert journal_files(tmp_path) == []
    await backend.write_chunk(upload, PIECE, ALICE)
    [file] = journal_files(tmp_path)
    [(key, upload_id)] = await s3.multipart_uploads()
    claim = UploadClaim(**json.loads(file.read_text()))
    assert (claim.bucket, claim.key, claim.upload_id) == (s3.bucket, key, upload_id)
    await backend.abort_write(upload, ALICE)
    assert journal_files(tmp_path) == []
    await put(backend, "f", data_of(PART + 1))
    assert journal_files(tmp_path) == []


async def test_a_create_that_the_store_refuses_leaves_no_claim(
    open_backend: Opener, s3: S3, tmp_path: Path, proxy: FaultProxy
) -> None:
    backend = await open_backend(tmp_path)
    proxy.on("CreateMultipartUpload", do=Answer(403, "AccessDenied"))
    upload = await begin(backend, "f")
    with pytest.raises(PermissionDenied):
        await backend.write_chunk(upload, PIECE, ALICE)
    assert (journal_files(tmp_path), await backend.journal.claims()) == ([], [])
    await backend.abort_write(upload, ALICE)
    assert (journal_files(tmp_path), await backend.journal.claims()) == ([], [])


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_create_that_is_refused_after_lost_replies_is_claimed_for_those_alone(
    open_backend: Opener, proxy: FaultProxy, lost: int
) -> None:
    backend = await open_backend()
    proxy.on("CreateMultipartUpload", do=LoseReply(), times=lost)
    proxy.on("CreateMultipartUpload", do=Answer(403, "AccessDenied"))
    upload = await begin(backend, "f")
    with pytest.raises(PermissionDenied):
        await backend.write_chunk(upload, PIECE, ALICE)
    await backend.abort_write(upload, ALICE)
    [claim] = await backend.journal.claims()
    assert (claim.upload_id, claim.requests) == (None, lost)
    assert len(backend.journal.abandoned) == 1


async def test_what_a_crash_leaves_is_aborted_by_the_next_start(
    open_backend: Opener, s3: S3, tmp_path: Path
) -> None:
    dead = await open_backend(tmp_path)
    await dead.write_chunk(await begin(dead, "f"), PIECE, ALICE)
    await s3.client.create_multipart_upload(Bucket=s3.bucket, Key="tenant/f")  # a stranger's
    crash(dead.journal)
    living = await open_backend(tmp_path, **NOW)
    await living.janitor.sweep()
    assert len(await s3.multipart_uploads()) == 1
    assert journal_files(tmp_path) == []
    assert len(list((tmp_path / "uploads").iterdir())) == 1


async def test_uploads_of_a_server_that_lives_are_left_alone(
    open_backend: Opener, s3: S3, tmp_path: Path
) -> None:
    one, other = await open_backend(tmp_path, **NOW), await open_backend(tmp_path, **NOW)
    upload = await begin(one, "f")
    await one.write_chunk(upload, PIECE, ALICE)
    assert await other.janitor.sweep() == 0
    assert await one.janitor.sweep() == 0
    assert len(await s3.multipart_uploads()) == 1
    await one.abort_write(upload, ALICE)


async def test_a_young_one_is_left_alone(open_backend: Opener, s3: S3, tmp_path: Path) -> None:
    dead = await open_backend(tmp_path)
    await dead.write_chunk(await begin(dead, "f"), PIECE, ALICE)
    crash(dead.journal)
    living = await open_backend(tmp_path, janitor_min_age=timedelta(hours=1))
    assert await living.janitor.sweep() == 0
    assert len(journal_files(tmp_path)) == len(await s3.multipart_uploads()) == 1


def set_clock(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Set the time of day; time that passes is unaffected."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)


async def test_what_was_left_before_the_clock_was_set_back_does_not_wait_for_that_time_to_come(
    open_backend: Opener, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = await open_backend(tmp_path)
    await dead.write_chunk(await begin(dead, "f"), PIECE, ALICE)
    crash(dead.journal)
    set_clock(monkeypatch, -86_400.0)
    living = await open_backend(tmp_path, janitor_min_age=timedelta(seconds=1.5))
    assert await living.janitor.sweep() == 0, "how old it is nobody knows"
    await asyncio.sleep(1.6)
    assert await living.janitor.sweep() == 1
    assert len(living.janitor._ages) == 0


async def test_a_clock_that_was_set_forward_harms_no_upload_of_a_server_that_lives(
    open_backend: Opener, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = await open_backend(tmp_path), await open_backend(tmp_path)
    upload = await begin(one, "f")
    await one.write_chunk(upload, PIECE, ALICE)
    set_clock(monkeypatch, 86_400.0)
    assert await other.janitor.sweep() == await one.janitor.sweep() == 0
    assert len(await s3.multipart_uploads()) == 1
    await one.abort_write(upload, ALICE)


async def test_claims_on_another_bucket_are_kept_for_its_own_server(
    open_backend: Opener, tmp_path: Path
) -> None:
    foreign = journal_on(tmp_path, "https://elsewhere.example.com", "other")
    await foreign.start()
    await foreign.claim("tenant/f")
    crash(foreign)
    living = await open_backend(tmp_path, **NOW)
    assert await living.janitor.sweep() == 0
    assert len(journal_files(tmp_path)) == 1


@pytest.mark.parametrize("created", [0, 1, 2])
async def test_one_whose_id_nobody_heard_is_found_if_it_is_the_only_one(
    open_backend: Opener, s3: S3, tmp_path: Path, created: int
) -> None:
    dead = await open_backend(tmp_path)
    await dead.journal.claim("tenant/f")
    crash(dead.journal)
    for key in ["tenant/f"] * created + ["tenant/f2", "tenant/f/g"]:
        await s3.client.create_multipart_upload(Bucket=s3.bucket, Key=key)
    living = await open_backend(tmp_path, **NOW)
    await living.janitor.sweep()
    left = [key for key, _ in await s3.multipart_uploads()]
    assert left.count("tenant/f") == (0 if created == 1 else created)
    assert {"tenant/f2", "tenant/f/g"} <= set(left)
    assert len(journal_files(tmp_path)) == (1 if created == 2 else 0)


async def test_one_that_was_created_at_another_time_is_not_taken_for_it(
    open_backend: Opener, s3: S3, tmp_path: Path
) -> None:
    dead = await open_backend(tmp_path)
    await dead.journal.claim("tenant/f", at=time.time() - 3600)
    crash(dead.journal)
    await s3.client.create_multipart_upload(Bucket=s3.bucket, Key="tenant/f")
    living = await open_backend(tmp_path, **NOW)
    await living.janitor.sweep()
    assert len(await s3.multipart_uploads()) == 1


@pytest.mark.parametrize("with_state", [True, False])
async def test_an_abort_that_failed_is_done_later(
    open_backend: Opener, s3: S3, proxy: FaultProxy, tmp_path: Path, with_state: bool
) -> None:
    backend = await open_backend(tmp_path if with_state else None, **NOW)
    upload = await begin(backend, "f")
    await backend.write_chunk(upload, PIECE, ALICE)
    proxy.on("AbortMultipartUpload", do=Answer(503, "SlowDown"), times=3)
    await backend.abort_write(upload, ALICE)
    assert len(await s3.multipart_uploads()) == 1
    assert await backend.janitor.sweep() == 1
    assert await s3.multipart_uploads() == []
    assert journal_files(tmp_path) == []


async def test_a_create_that_is_never_answered_is_cleaned_later(
    open_backend: Opener, s3: S3, proxy: FaultProxy, tmp_path: Path
) -> None:
    backend = await open_backend(tmp_path, attempts=1, **NOW)
    proxy.on("CreateMultipartUpload", do=LoseReply(), times=1)
    upload = await begin(backend, "f")
    with pytest.raises(Exception, match="reached"):
        await backend.write_chunk(upload, PIECE, ALICE)
    await backend.abort_write(upload, ALICE)
    assert len(await s3.multipart_uploads()) == 1
    assert await backend.janitor.sweep() == 1
    assert await s3.multipart_uploads() == []


async def test_an_unreadable_journal_stops_nothing(open_backend: Opener, tmp_path: Path) -> None:
    dead = journal_on(tmp_path)
    await dead.start()
    [own] = (tmp_path / "uploads").iterdir()
    claim = {"endpoint": dead._endpoint, "bucket": dead._bucket, "key": "tenant/f"}
    (own / "broken.json").write_text("{")
    (own / "undated.json").write_text(json.dumps(claim | {"claimed_at": 1e300}))
    crash(dead)
    with capture_events() as logs:
        living = await open_backend(tmp_path, **NOW)
        for _ in range(2):
            assert await living.janitor.sweep() == 0
    told = sorted(line["file"] for line in logs if line["event"] == "journal.claim_unreadable")
    assert told == ["broken.json", "undated.json"]
    await put(living, "f", data_of(PART + 1))


async def test_a_server_that_stops_in_order_leaves_no_directory(tmp_path: Path) -> None:
    journal = journal_on(tmp_path)
    await journal.start()
    await journal.stop()
    assert list((tmp_path / "uploads").iterdir()) == []


async def test_one_that_may_be_it_by_another_clock_is_not_forgotten(
    open_backend: Opener, s3: S3, tmp_path: Path
) -> None:
    dead = await open_backend(tmp_path)
    await dead.journal.claim("tenant/near", at=time.time() - 100)
    await dead.journal.claim("tenant/far", at=time.time() - 3600)
    crash(dead.journal)
    for key in ("tenant/near", "tenant/far"):
        await s3.client.create_multipart_upload(Bucket=s3.bucket, Key=key)
    living = await open_backend(tmp_path, **NOW)
    await living.janitor.sweep()
    [(key, upload_id)] = await s3.multipart_uploads()
    assert key == "tenant/far"
    [file] = journal_files(tmp_path)
    assert UploadClaim(**json.loads(file.read_text())).key == "tenant/far"
    await s3.client.abort_multipart_upload(Bucket=s3.bucket, Key=key, UploadId=upload_id)
    await living.janitor.sweep()
    assert journal_files(tmp_path) == []


@pytest.mark.parametrize("attempts", [3, 4])
async def test_replies_to_create_that_are_lost_again_and_again_leave_nothing(
    open_backend: Opener, s3: S3, proxy: FaultProxy, tmp_path: Path, attempts: int
) -> None:
    """Whether the last attempt is answered, or none is."""
    backend = await open_backend(tmp_path, attempts=attempts, **NOW)
    proxy.on("CreateMultipartUpload", do=LoseReply(), times=3)
    upload = await begin(backend, "f")
    if attempts == 3:
        with pytest.raises(StorageFailure):
            await backend.write_chunk(upload, PIECE, ALICE)
    else:
        await backend.write_chunk(upload, PIECE, ALICE)
        assert len(await s3.multipart_uploads()) == 4
        assert await backend.janitor.sweep() == 3  # not the one that is being written
    await backend.abort_write(upload, ALICE)
    await backend.janitor.sweep()
    assert await s3.multipart_uploads() == []
    assert journal_files(tmp_path) == []


async def test_a_crash_between_attempts_leaves_nothing(
    open_backend: Opener, s3: S3, proxy: FaultProxy, tmp_path: Path
) -> None:
    """Each attempt is in the journal before it is sent."""
    dead = await open_backend(tmp_path)
    proxy.on("CreateMultipartUpload", do=LoseReply(), times=2)
    held = proxy.on("CreateMultipartUpload", do=HoldReply())
    chunk = asyncio.create_task(dead.write_chunk(await begin(dead, "f"), PIECE, ALICE))
    await held.reached()
    while len(await s3.multipart_uploads()) < 3:
        await asyncio.sleep(0.01)
    left = {file: file.read_text() for file in journal_files(tmp_path)}
    held.release()
    await chunk
    crash(dead.journal)
    for file in journal_files(tmp_path):
        file.unlink()
    for file, text in left.items():
        file.write_text(text)
    for key, upload_id in await s3.multipart_uploads():
        parts = await s3.client.list_parts(Bucket=s3.bucket, Key=key, UploadId=upload_id)
        if parts.get("Parts"):  # what came after the crash
            await s3.client.abort_multipart_upload(Bucket=s3.bucket, Key=key, UploadId=upload_id)
    living = await open_backend(tmp_path, **NOW)
    await living.janitor.sweep()
    assert await s3.multipart_uploads() == []
    assert journal_files(tmp_path) == []


async def test_one_with_parts_is_somebody_elses(
    open_backend: Opener, s3: S3, proxy: FaultProxy, tmp_path: Path
) -> None:
    """Nobody can have sent a part to an upload whose id was not heard."""
    backend = await open_backend(tmp_path, attempts=1, **NOW)
    proxy.on("CreateMultipartUpload", do=Answer(500, "InternalError"), times=1)  # and nothing was created
    upload = await begin(backend, "f")
    with pytest.raises(StorageFailure):
        await backend.write_chunk(upload, PIECE, ALICE)
    await backend.abort_write(upload, ALICE)
    theirs = await s3.client.create_multipart_upload(Bucket=s3.bucket, Key="tenant/f")
    about = {"Bucket": s3.bucket, "Key": "tenant/f", "UploadId": theirs["UploadId"]}
    await s3.client.upload_part(**about, PartNumber=1, Body=b"theirs")
    assert await backend.janitor.sweep() == 0
    assert len(await s3.multipart_uploads()) == 1


async def test_what_cannot_be_told_from_others_is_left_told_of_and_in_the_end_forgotten(
    open_backend: Opener, s3: S3, tmp_path: Path
) -> None:
    dead = await open_backend(tmp_path)
    await dead.journal.claim("tenant/f")
    await dead.journal.claim("tenant/old", at=time.time() - 8 * 86400)
    crash(dead.journal)
    for key in ("tenant/f", "tenant/f", "tenant/old"):
        await s3.client.create_multipart_upload(Bucket=s3.bucket, Key=key)
    with capture_events() as logs:
        living = await open_backend(tmp_path, **NOW)
        await living.janitor.sweep()
    assert len(await s3.multipart_uploads()) == 3
    [file] = journal_files(tmp_path)
    assert UploadClaim(**json.loads(file.read_text())).key == "tenant/f"
    advice = {line["event"]: line["advice"] for line in logs if "advice" in line}
    assert advice.keys() >= {"janitor.upload_ambiguous", "janitor.upload_abandoned"}
    for text in advice.values():
        assert "abort-multipart-upload" in text
        assert "AbortIncompleteMultipartUpload" in text


async def test_a_sweep_while_a_lost_reply_is_noted_forgets_nothing(
    open_backend: Opener, s3: S3, proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep comes after the claim was asked for, and before it is on disk."""
    backend = await open_backend(tmp_path, **NOW)
    claim = backend.journal.claim

    async def swept_meanwhile(key: str, **more: Any) -> JournalEntry:
        await backend.janitor.sweep()
        return await claim(key, **more)

    monkeypatch.setattr(backend.journal, "claim", swept_meanwhile)
    proxy.on("CreateMultipartUpload", do=LoseReply(), times=1)
    await put(backend, "f", data_of(PART + 1))
    assert len(await s3.multipart_uploads()) == 1
    assert await backend.janitor.sweep() == 1
    assert await s3.multipart_uploads() == []


async def test_a_sweep_while_an_upload_is_created_leaves_it_alone(
    open_backend: Opener, s3: S3, proxy: FaultProxy, tmp_path: Path
) -> None:
    """An earlier reply for the same name was lost: what is being created now is not taken for that."""
    backend = await open_backend(tmp_path, attempts=1, **NOW)
    proxy.on("CreateMultipartUpload", do=Answer(500, "InternalError"), times=1)  # and nothing was created
    lost = await begin(backend, "f")
    with pytest.raises(StorageFailure):
        await backend.write_chunk(lost, PIECE, ALICE)
    await backend.abort_write(lost, ALICE)
    held = proxy.on("CreateMultipartUpload", do=HoldReply())
    upload = await begin(backend, "f")
    chunk = asyncio.create_task(backend.write_chunk(upload, PIECE, ALICE))
    await held.reached()
    while not await s3.multipart_uploads():
        await asyncio.sleep(0.01)
    assert await backend.janitor.sweep() == 0
    held.release()
    await chunk
    assert len(await s3.multipart_uploads()) == 1
    await backend.abort_write(upload, ALICE)


@pytest.mark.parametrize("where", ["ListMultipartUploads", "AbortMultipartUpload"])
async def test_a_janitor_that_is_cancelled_lets_go_of_its_locks(
    open_backend: Opener, s3: S3, proxy: FaultProxy, tmp_path: Path, where: str
) -> None:
    """Of all that it has taken over, and a server that is started again in the process can sweep."""
    for number in range(3):
        dead = await open_backend(tmp_path)
        key = f"f{number}"
        await dead.write_chunk(await begin(dead, key), PIECE, ALICE)
        await dead.journal.claim("tenant/" + key, at=time.time() - 1)
        crash(dead.journal)
    held = proxy.on(where, do=Hold())
    stopped = await open_backend(tmp_path, **NOW)
    await held.reached()
    await stopped.stop()
    proxy.clear()
    again = await open_backend(tmp_path, **NOW)
    await again.janitor.sweep()
    assert await s3.multipart_uploads() == []
    assert journal_files(tmp_path) == []


async def test_a_janitor_that_is_cancelled_while_it_takes_over_lets_go_of_its_locks(tmp_path: Path) -> None:
    """The thread that locks goes on; what it has taken is let go of after that."""
    dead = journal_on(tmp_path)
    await dead.start()
    await dead.claim("f")
    crash(dead)
    journal = journal_on(tmp_path)
    for steps in range(4):

        async def take_over() -> None:
            async with journal.dead_entries() as left:
                assert left
                await asyncio.sleep(60)

        taking = asyncio.create_task(take_over())
        for _ in range(steps):
            await asyncio.sleep(0)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        async with journal.dead_entries() as left:
            assert len(left) == 1, f"cancelled after {steps} steps"
