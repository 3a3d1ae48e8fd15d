"""An upload ends whole and acknowledged, or not at all and with a reason, whatever happens on the way."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from s3sftp.backends.contract import Finish
from s3sftp.backends.s3 import S3Backend
from s3sftp.errors import (
    AlreadyExists,
    Busy,
    Changed,
    NotFound,
    PermissionDenied,
    StorageError,
    StorageFailure,
    TimedOut,
)
from s3sftp.telemetry import Costs, charging
from tests.backends.s3.conftest import ALICE, PART, Opener, place
from tests.backends.s3.upload_driver import begin, data_of, put, send
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import (
    Answer,
    FlipRequestByte,
    Hold,
    HoldReply,
    LoseReply,
    Meanwhile,
    Reset,
)
from tests.support.s3_client import S3

SMALL = b"small file"
LARGE = data_of(2 * PART + 1000)
SIZES = pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
PUTS = ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload")


async def nothing_is_left(s3: S3) -> bool:
    return await s3.keys() == [] and await s3.multipart_uploads() == []


@SIZES
@pytest.mark.parametrize(
    "fault",
    [Answer(503, "SlowDown"), Answer(500, "InternalError"), Answer(429, "TooMany"), Reset(), LoseReply()],
    ids=["503", "500", "429", "reset", "lost reply"],
)
async def test_a_passing_fault_is_not_seen(
    backend: S3Backend, s3: S3, proxy: FaultProxy, data: bytes, fault: Answer
) -> None:
    puts = PUTS if fault != LoseReply() else tuple(set(PUTS) - {"CreateMultipartUpload"})
    rules = [proxy.on(api, do=fault, times=1) for api in puts]
    with charging(Costs()) as costs:
        info = await put(backend, "f", data)
    assert await s3.body("tenant/f") == data
    assert (info.size, await s3.multipart_uploads()) == (len(data), [])
    assert sum(rule.hits for rule in rules) == (1 if data is SMALL else len(puts) - 1)
    if isinstance(fault, Answer):  # a connection that breaks in use is mended by aiohttp, which does not tell
        assert costs.retries == sum(rule.hits for rule in rules)
        assert costs.total() == len(proxy.log)


async def test_a_lost_reply_to_create_is_not_seen_and_the_janitor_aborts_what_nobody_knows(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend(janitor_min_age=timedelta(0))
    proxy.on("CreateMultipartUpload", do=LoseReply(), times=1)
    await put(backend, "f", LARGE)
    assert await s3.body("tenant/f") == LARGE
    assert len(await s3.multipart_uploads()) == 1
    assert await backend.janitor.sweep() == 1
    assert await s3.multipart_uploads() == []


async def test_an_error_behind_status_200_is_an_error(backend: S3Backend, s3: S3, proxy: FaultProxy) -> None:
    hidden = proxy.on("CompleteMultipartUpload", do=Answer(200, "InternalError"), times=1)
    await put(backend, "f", LARGE)
    assert (hidden.hits, await s3.body("tenant/f")) == (1, LARGE)
    proxy.on("CompleteMultipartUpload", do=Answer(200, "InternalError"))
    with pytest.raises(StorageFailure):
        await put(backend, "g", LARGE)
    assert await s3.keys() == ["tenant/f"]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Answer(503, "SlowDown"), Busy),
        (Answer(500, "InternalError"), StorageFailure),
        (Answer(403, "AccessDenied"), PermissionDenied),
        (Reset(), StorageFailure),
    ],
    ids=["503", "500", "403", "reset"],
)
@pytest.mark.parametrize(("data", "api"), [(SMALL, PUTS[0]), *((LARGE, api) for api in PUTS[1:])], ids=PUTS)
async def test_a_lasting_fault_is_an_error_and_the_old_file_stays(
    backend: S3Backend,
    s3: S3,
    proxy: FaultProxy,
    data: bytes,
    fault: Answer,
    expected: type[StorageError],
    api: str,
) -> None:
    await s3.put("tenant/f", b"old")
    proxy.on(api, do=fault)
    with pytest.raises(expected) as caught:
        await put(backend, "f", data)
    assert not any(secret in str(caught.value) for secret in ("tenant", s3.bucket, "127.0.0.1", "PROXY"))
    assert await s3.body("tenant/f") == b"old"
    assert await s3.multipart_uploads() == []
    assert (await backend.file_info(place("f"), ALICE)).size == 3


async def test_silence_is_an_error_within_the_deadline(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend(data_timeout=timedelta(seconds=0.5), metadata_timeout=timedelta(seconds=0.5))
    proxy.on("PutObject", do=Hold())
    began = asyncio.get_running_loop().time()
    with pytest.raises(TimedOut):
        await put(backend, "f", SMALL)
    assert asyncio.get_running_loop().time() - began < 20
    assert await nothing_is_left(s3)


async def test_an_endpoint_that_is_down_is_an_error_and_the_backend_lives_on(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await proxy.down()
    with pytest.raises(StorageFailure, match="reached"):
        await put(backend, "f", SMALL)
    await proxy.up()
    await put(backend, "f", SMALL)
    assert await s3.body("tenant/f") == SMALL


@SIZES
async def test_a_lost_reply_to_our_own_exclusive_write_is_no_failure(
    backend: S3Backend, s3: S3, proxy: FaultProxy, data: bytes
) -> None:
    lost = proxy.on("PutObject", "CompleteMultipartUpload", do=LoseReply(), times=1)
    info = await put(backend, "f", data, exclusive=True)
    assert lost.hits == 1
    assert await s3.body("tenant/f") == data
    assert (await s3.head("tenant/f"))["ETag"] == info.version


async def test_a_lost_reply_to_a_complete_that_is_then_forgotten_is_no_failure(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    proxy.on("CompleteMultipartUpload", do=LoseReply(), times=1)
    proxy.on("CompleteMultipartUpload", do=Answer(404, "NoSuchUpload"))
    await put(backend, "f", LARGE)
    assert await s3.body("tenant/f") == LARGE


@SIZES
async def test_an_outcome_that_stays_unknown_is_looked_up(
    backend: S3Backend, s3: S3, proxy: FaultProxy, data: bytes
) -> None:
    proxy.on("PutObject", "CompleteMultipartUpload", do=LoseReply())
    await put(backend, "f", data)
    assert await s3.body("tenant/f") == data


async def test_a_complete_that_is_never_answered_is_looked_up(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend(data_timeout=timedelta(seconds=5))
    proxy.on("CompleteMultipartUpload", do=HoldReply())
    await put(backend, "f", LARGE)
    assert await s3.body("tenant/f") == LARGE


@SIZES
async def test_a_lost_reply_behind_which_someone_else_wrote_is_a_failure(
    backend: S3Backend, s3: S3, proxy: FaultProxy, data: bytes
) -> None:
    apis = ("PutObject", "CompleteMultipartUpload")
    proxy.on(*apis, do=LoseReply(), times=1)
    proxy.on(*apis, do=Meanwhile(lambda: s3.put("tenant/f", b"someone else's")), times=1)
    with pytest.raises((AlreadyExists, StorageFailure)):
        await put(backend, "f", data, exclusive=True)
    assert await s3.body("tenant/f") == b"someone else's"


async def test_a_refusal_after_a_lost_reply_is_believed_when_the_object_is_not_ours(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await s3.put("tenant/f", b"someone else's")
    proxy.on("PutObject", do=LoseReply(), times=1)
    with pytest.raises(AlreadyExists):
        await put(backend, "f", SMALL, exclusive=True)
    assert await s3.body("tenant/f") == b"someone else's"


@SIZES
async def test_an_exclusive_write_finds_a_file_that_came_meanwhile(
    backend: S3Backend, s3: S3, proxy: FaultProxy, data: bytes
) -> None:
    upload = await begin(backend, "f", exclusive=True)
    await s3.put("tenant/f", b"theirs")
    with pytest.raises(AlreadyExists):
        await send(backend, upload, data)
    await backend.abort_write(upload, ALICE)
    assert await s3.body("tenant/f") == b"theirs"
    assert await s3.multipart_uploads() == []


@SIZES
@pytest.mark.parametrize("removed", [False, True])
async def test_a_write_on_a_base_finds_that_others_changed_it(
    backend: S3Backend, s3: S3, data: bytes, removed: bool
) -> None:
    base = await put(backend, "f", b"base")
    upload = await begin(backend, "f", base=base)
    await (s3.delete("tenant/f") if removed else s3.put("tenant/f", b"theirs"))
    with pytest.raises(Changed):
        await send(backend, upload, data)
    await backend.abort_write(upload, ALICE)
    assert await s3.keys() == ([] if removed else ["tenant/f"])


@SIZES
@pytest.mark.parametrize(
    ("code", "on_a_base", "expected"),
    [
        ("NoSuchKey", True, Changed),
        ("NoSuchKey", False, NotFound),
        ("NoSuchBucket", True, StorageFailure),
        ("NoSuchBucket", False, StorageFailure),
        ("NoSuchUpload", True, StorageFailure),
        ("NoSuchUpload", False, StorageFailure),
    ],
)
async def test_a_404_means_that_the_base_is_gone_only_where_there_is_one_and_it_is_about_the_object(
    backend: S3Backend,
    s3: S3,
    proxy: FaultProxy,
    data: bytes,
    code: str,
    on_a_base: bool,
    expected: type[StorageError],
) -> None:
    base = await put(backend, "f", b"base")
    proxy.on("PutObject", "CompleteMultipartUpload", do=Answer(404, code))
    with pytest.raises(StorageError) as caught:
        await put(backend, "f", data, base=base if on_a_base else None)
    assert type(caught.value) is expected
    assert await s3.body("tenant/f") == b"base"


async def test_a_byte_changed_on_its_way_is_sent_again(backend: S3Backend, s3: S3, proxy: FaultProxy) -> None:
    flipped = proxy.on("UploadPart", "PutObject", do=FlipRequestByte(1000), times=2)
    await put(backend, "large", LARGE)
    await put(backend, "small", SMALL * 200)
    assert flipped.hits == 2
    assert await s3.body("tenant/large") == LARGE
    assert await s3.body("tenant/small") == SMALL * 200


async def test_bytes_that_keep_being_changed_are_never_published(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    proxy.on("UploadPart", do=FlipRequestByte(1000))
    with pytest.raises(StorageFailure):
        await put(backend, "f", LARGE)
    assert await nothing_is_left(s3)


@pytest.mark.parametrize("size", [len(LARGE) - 1, len(LARGE) + 1])
async def test_a_file_of_another_size_than_was_sent_is_not_published(
    backend: S3Backend, s3: S3, proxy: FaultProxy, size: int
) -> None:
    upload = await begin(backend, "f")
    with pytest.raises(StorageFailure, match="incomplete"):
        await send(backend, upload, LARGE, size=size)
    await backend.abort_write(upload, ALICE)
    assert await nothing_is_left(s3)
    assert proxy.log.count("CompleteMultipartUpload") == 0


@pytest.mark.parametrize("api", ["CreateMultipartUpload", "UploadPart"])
@pytest.mark.parametrize("fault", [Hold(), HoldReply()], ids=["before S3", "after S3"])
async def test_a_cancelled_upload_leaves_nothing(
    backend: S3Backend, s3: S3, proxy: FaultProxy, api: str, fault: Hold
) -> None:
    held = proxy.on(api, do=fault, times=1)
    upload = await begin(backend, "f")
    chunk = asyncio.create_task(backend.write_chunk(upload, LARGE[:PART], ALICE))
    await held.reached()
    chunk.cancel()
    aborting = asyncio.create_task(backend.abort_write(upload, ALICE))
    await asyncio.sleep(0)
    held.release()
    await asyncio.gather(chunk, return_exceptions=True)
    await aborting
    assert chunk.cancelled()
    assert await nothing_is_left(s3)


async def test_an_abort_stops_parts_that_are_under_way(backend: S3Backend, s3: S3, proxy: FaultProxy) -> None:
    held = proxy.on("UploadPart", do=Hold())
    upload = await begin(backend, "f")
    chunk = asyncio.create_task(backend.write_chunk(upload, LARGE[:PART], ALICE))
    await held.reached()
    await backend.abort_write(upload, ALICE)
    with pytest.raises(StorageFailure, match="the upload was aborted"):
        await chunk
    assert await nothing_is_left(s3)


async def test_a_part_that_a_library_cancels_is_not_said_to_be_aborted(
    backend: S3Backend, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cancelled(api: str, **parameters: Any) -> dict[str, Any]:
        if api == "UploadPart":
            raise asyncio.CancelledError
        return await call(api, **parameters)

    call = backend.client.call
    upload = await begin(backend, "f")
    monkeypatch.setattr(backend.client, "call", cancelled)
    with pytest.raises(StorageFailure) as failed:
        await backend.write_chunk(upload, LARGE[:PART], ALICE)
    assert "aborted" not in str(failed.value)
    assert failed.value.detail == "a part was cancelled by something that it waited for"
    await backend.abort_write(upload, ALICE)
    assert await nothing_is_left(s3)


async def test_an_upload_is_aborted_only_after_its_parts_have_ended(
    backend: S3Backend, s3: S3, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that arrives behind the abort would be kept by the store, and paid for."""
    call, order = backend.client.call, list[str]()

    async def slow_to_stop(api: str, **parameters: Any) -> dict[str, Any]:
        order.append(f"{api} begins")
        try:
            return await call(api, **parameters)
        except asyncio.CancelledError:
            for _ in range(100):  # turns of the loop, in which the abort could overtake it
                await asyncio.sleep(0)
            order.append(f"{api} is stopped")
            raise

    held = proxy.on("UploadPart", do=Hold())
    upload = await begin(backend, "f")
    monkeypatch.setattr(backend.client, "call", slow_to_stop)
    chunk = asyncio.create_task(backend.write_chunk(upload, LARGE[:PART], ALICE))
    await held.reached()
    await backend.abort_write(upload, ALICE)
    with pytest.raises(StorageFailure):
        await chunk
    assert order[1:] == ["UploadPart begins", "UploadPart is stopped", "AbortMultipartUpload begins"]
    assert await nothing_is_left(s3)


async def test_an_abort_goes_on_when_its_caller_is_cancelled(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    upload = await begin(backend, "f")
    await backend.write_chunk(upload, LARGE[:PART], ALICE)
    held = proxy.on("AbortMultipartUpload", do=Hold())
    aborting = asyncio.create_task(backend.abort_write(upload, ALICE))
    await held.reached()
    aborting.cancel()
    await asyncio.gather(aborting, return_exceptions=True)
    held.release()
    await backend.abort_write(upload, ALICE)
    assert await nothing_is_left(s3)


async def test_an_abort_may_be_repeated_and_does_nothing_to_a_finished_file(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    upload = await begin(backend, "f")
    await send(backend, upload, LARGE)
    await backend.abort_write(upload, ALICE)
    await backend.abort_write(upload, ALICE)
    assert await s3.body("tenant/f") == LARGE
    with pytest.raises(StorageFailure):
        await backend.write_chunk(upload, LARGE[:PART], ALICE)


async def test_parts_of_one_file_are_sent_at_once_and_joined_in_order(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    held = proxy.on("UploadPart", do=Hold(), query="partNumber=1$")
    upload = await begin(backend, "f")
    assert upload.parallel_chunks == 4
    chunks = [
        asyncio.create_task(backend.write_chunk(upload, LARGE[start : start + PART], ALICE))
        for start in (0, PART)
    ]
    await chunks[1]
    assert not chunks[0].done()
    held.release()
    await chunks[0]
    await backend.finish_write(upload, LARGE[2 * PART :], Finish(len(LARGE)), ALICE)
    assert await s3.body("tenant/f") == LARGE


async def test_after_a_failed_upload_the_path_shows_nothing(backend: S3Backend, proxy: FaultProxy) -> None:
    proxy.on("CompleteMultipartUpload", do=Answer(503, "SlowDown"))
    with pytest.raises(Busy):
        await put(backend, "f", LARGE)
    with pytest.raises(NotFound):
        await backend.file_info(place("f"), ALICE)


async def test_stopping_waits_for_an_abort_that_nobody_waits_for(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend()
    upload = await begin(backend, "f")
    await backend.write_chunk(upload, LARGE[:PART], ALICE)
    held = proxy.on("AbortMultipartUpload", do=Hold())
    aborting = asyncio.create_task(backend.abort_write(upload, ALICE))
    await held.reached()
    aborting.cancel()
    await asyncio.gather(aborting, return_exceptions=True)
    stopping = asyncio.create_task(backend.stop())
    await asyncio.sleep(0.05)
    assert not stopping.done()
    held.release()
    await stopping
    assert await nothing_is_left(s3)


async def test_a_late_time_is_not_put_on_what_replaced_the_file(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    upload = await begin(backend, "f")
    await backend.write_chunk(upload, data_of(PART), ALICE)
    proxy.on("CopyObject", do=Meanwhile(lambda: s3.put("tenant/f", b"theirs")), times=1)
    info = await backend.finish_write(upload, b"", Finish(PART, 1000), ALICE)
    assert info.size == PART
    assert await s3.body("tenant/f") == b"theirs"
    assert "mtime" not in (await s3.head("tenant/f"))["Metadata"]
