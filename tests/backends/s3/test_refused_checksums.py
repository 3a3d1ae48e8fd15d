"""An upload that meets a store without checksums is completed all the same; damage is never published."""

from __future__ import annotations

import asyncio
import re
import zlib
from dataclasses import replace

import pytest

from s3sftp.backends.contract import Finish
from s3sftp.backends.s3 import S3Backend
from s3sftp.backends.s3.checksums.digest import crc_text
from s3sftp.backends.s3.features import Feature, Features
from s3sftp.errors import (
    AlreadyExists,
    Changed,
    InvalidRequest,
    PermissionDenied,
    StorageError,
    StorageFailure,
)
from tests.backends.s3.conftest import ALICE, PART, Opener, place
from tests.backends.s3.upload_driver import begin, data_of, put, send
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Foreign, Hold, Reply, Rewrite
from tests.support.s3_client import S3

SMALL = b"small file"
LARGE = data_of(2 * PART + 1000)
NOT_IMPLEMENTED = Answer(
    501, "NotImplemented", "A header you provided implies functionality that is not there"
)
INVALID = Answer(400, "InvalidArgument", "Unsupported header 'x-amz-checksum-algorithm' for this API call")
MISSING = Answer(400, "InvalidArgument", 'checksum missing, want "CRC32", got ""')
DIGEST = Answer(400, "InvalidDigest", "Bad crc32 checksum")
CHECKSUM = "^x-amz-(sdk-)?checksum-"
WHOLE = "^x-amz-checksum-(crc32|type):"


def missing(backend: S3Backend) -> tuple[Feature, ...]:
    return backend.client.features.missing


async def added_to(backend: S3Backend, path: str, old: bytes, new: bytes) -> None:
    """Keep an old file and add to it, as the server does."""
    base = await backend.file_info(place(path), ALICE)
    upload = await begin(backend, path, base=base)
    kept = len(old) // upload.keep_unit_bytes * upload.keep_unit_bytes
    try:
        await backend.keep_range(upload, 0, kept, ALICE)
        await send(backend, upload, old[kept:] + new, size=len(old) + len(new))
    except BaseException:
        await backend.abort_write(upload, ALICE)
        raise


def telling(crc: int | None) -> Rewrite:
    """Tell this checksum of a copied part, or none."""
    told = b"" if crc is None else f"<ChecksumCRC32>{crc_text(crc)}</ChecksumCRC32>".encode()

    def change(reply: Reply) -> Reply:
        body = re.sub(rb"<Checksum(\w+)>.*?</Checksum\1>", b"", reply.body)
        return replace(reply, body=body.replace(b"</CopyPartResult>", told + b"</CopyPartResult>"))

    return Rewrite(change)


# ── the checksum of the whole ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("refusal", [DIGEST, NOT_IMPLEMENTED, INVALID], ids=["digest", "501", "400"])
async def test_a_store_that_knows_no_checksum_of_the_whole_completes_the_upload_that_met_it(
    backend: S3Backend, s3: S3, proxy: FaultProxy, refusal: Answer
) -> None:
    refused = proxy.on("CompleteMultipartUpload", do=refusal, header=WHOLE)
    await put(backend, "f", LARGE)
    assert missing(backend) == (Feature.WHOLE_CHECKSUMS,)
    await put(backend, "g", LARGE)
    assert refused.hits == 1
    assert [await s3.body(f"tenant/{name}") for name in "fg"] == [LARGE, LARGE]
    assert "x-amz-checksum-crc32" in proxy.log.of("UploadPart")[-1].headers
    assert b"ChecksumCRC32" in proxy.log.of("CompleteMultipartUpload")[-1].body
    assert await s3.multipart_uploads() == []


async def test_its_type_may_be_refused_at_creation(backend: S3Backend, s3: S3, proxy: FaultProxy) -> None:
    refused = proxy.on("CreateMultipartUpload", do=INVALID, header="^x-amz-checksum-type:")
    await put(backend, "f", LARGE)
    await put(backend, "g", LARGE)
    assert refused.hits == 1
    assert missing(backend) == (Feature.WHOLE_CHECKSUMS,)
    assert (await s3.head("tenant/f"))["ContentLength"] == len(LARGE)
    created = proxy.log.of("CreateMultipartUpload")[-1]
    assert created.headers["x-amz-checksum-algorithm"] == "CRC32"


async def test_bytes_that_the_store_calls_different_are_never_published(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    """SeaweedFS says at creation that it looks at the whole: then it is believed that it differs."""
    backend = await open_backend(attempts=1)
    await s3.put("tenant/f", b"old")
    for refusal in (Answer(400, "BadDigest"), Answer(400, "XAmzContentChecksumMismatch")):
        proxy.on("CompleteMultipartUpload", do=refusal, header=WHOLE)
        with pytest.raises(StorageError):
            await put(backend, "f", LARGE)
        proxy.clear()
    assert missing(backend) == ()
    assert await s3.body("tenant/f") == b"old"
    assert await s3.multipart_uploads() == []


@pytest.mark.parametrize("store", ["moto"], indirect=True)
async def test_a_store_that_has_not_confirmed_the_parts_is_believed_that_the_whole_is_wrong(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    """moto tells no checksum of a part, and says at creation that it takes that of the whole."""
    proxy.on("CompleteMultipartUpload", do=DIGEST, header=WHOLE)
    with pytest.raises(StorageError):
        await put(backend, "f", LARGE)
    assert Feature.WHOLE_CHECKSUMS not in missing(backend)
    assert await s3.keys() == []


async def test_when_the_other_way_fails_too_the_first_failure_is_told_and_nothing_learned(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    proxy.on("CompleteMultipartUpload", do=DIGEST, header=WHOLE)
    proxy.on("CompleteMultipartUpload", do=Answer(400, "InvalidRequest", "something else"))
    with pytest.raises(StorageError) as told:
        await put(backend, "f", LARGE)
    assert "InvalidDigest" in str(told.value.detail)
    assert missing(backend) == ()
    assert await s3.multipart_uploads() == []


# ── copied parts ────────────────────────────────────────────────────────────────────────────────────


async def test_an_upload_whose_copied_part_is_refused_goes_on_without_checksums(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    """As MinIO does, where the upload was created with a checksum algorithm."""
    await put(backend, "f", LARGE)
    proxy.log.clear()
    refused = proxy.on("UploadPartCopy", do=MISSING, times=1)
    await added_to(backend, "f", LARGE, LARGE)
    assert missing(backend) == (Feature.COPIED_PART_CHECKSUMS,)
    assert await s3.body("tenant/f") == 2 * LARGE
    await added_to(backend, "f", 2 * LARGE, SMALL)
    assert await s3.body("tenant/f") == 2 * LARGE + SMALL
    assert refused.hits == 1
    created = proxy.log.of("CreateMultipartUpload")
    assert ["x-amz-checksum-algorithm" in seen.headers for seen in created] == [True, False, False]
    assert all("content-md5" in seen.headers for seen in proxy.log.of("UploadPart"))
    assert await s3.multipart_uploads() == []
    await put(backend, "g", LARGE)
    assert "x-amz-checksum-crc32" in proxy.log.of("UploadPart")[-1].headers  # nothing of it is copied


async def test_what_was_sent_before_the_refused_copy_stays_and_what_was_kept_is_sent(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    old, new = LARGE, data_of(PART, seed=1)
    base = await put(backend, "f", old)
    proxy.on("UploadPartCopy", do=MISSING, times=1)
    upload = await begin(backend, "f", base=base)
    await backend.write_chunk(upload, new, ALICE)
    await backend.keep_range(upload, PART, 2 * PART, ALICE)
    await backend.finish_write(upload, old[2 * PART :], Finish(len(old)), ALICE)
    assert await s3.body("tenant/f") == new + old[PART:]
    assert missing(backend) == (Feature.COPIED_PART_CHECKSUMS,)
    assert proxy.log.count("CreateMultipartUpload") == 2  # the old file's, and one


@pytest.mark.parametrize("sent_before", [False, True])
async def test_a_store_that_copies_no_parts_at_all_is_sent_what_is_kept(
    backend: S3Backend, s3: S3, proxy: FaultProxy, sent_before: bool
) -> None:
    old, new = LARGE, data_of(PART, seed=1)
    base = await put(backend, "f", old)
    proxy.on("UploadPartCopy", do=Answer(501, "NotImplemented"))
    upload = await begin(backend, "f", base=base)
    if sent_before:
        await backend.write_chunk(upload, new, ALICE)
    await backend.keep_range(upload, PART if sent_before else 0, 2 * PART, ALICE)
    await backend.finish_write(upload, old[2 * PART :] + b"!", Finish(len(old) + 1), ALICE)
    kept = new + old[PART : 2 * PART] if sent_before else old[: 2 * PART]
    assert await s3.body("tenant/f") == kept + old[2 * PART :] + b"!"
    assert missing(backend) == ()
    assert await s3.multipart_uploads() == []


async def test_what_is_sent_behind_a_copy_waits_until_the_store_has_taken_it(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    base = await put(backend, "f", LARGE)
    proxy.on("UploadPartCopy", do=MISSING, times=1)
    upload = await begin(backend, "f", base=base)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(backend.keep_range(upload, 0, 2 * PART, ALICE))
        await asyncio.sleep(0)
        tasks.create_task(backend.write_chunk(upload, LARGE[:PART], ALICE))
    await backend.finish_write(upload, SMALL, Finish(3 * PART + len(SMALL)), ALICE)
    assert await s3.body("tenant/f") == LARGE[: 2 * PART] + LARGE[:PART] + SMALL
    assert await s3.multipart_uploads() == []


async def test_a_rename_in_parts_survives_the_refusal(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend(copy_part_bytes=PART)
    await put(backend, "f", LARGE)
    proxy.on("UploadPartCopy", do=MISSING, times=1)
    await backend.rename(place("f"), place("g"), ALICE, overwrite=True)
    assert await s3.body("tenant/g") == LARGE
    assert await s3.keys() == ["tenant/g"]
    assert await s3.multipart_uploads() == []
    assert missing(backend) == (Feature.COPIED_PART_CHECKSUMS,)


async def test_a_wrong_checksum_of_a_copied_part_is_found_before_it_is_joined(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    """versitygw tells that of the whole source; clients that look at the object's checksum cannot read it."""
    await put(backend, "f", LARGE)
    wrong = b"<ETag>&quot;x&quot;</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32>"
    text = b"<CopyPartResult>" + wrong + b"</CopyPartResult>"
    xml = (("Content-Type", "application/xml"),)
    proxy.on("UploadPartCopy", do=Foreign(text, headers=xml, passed_on=True), times=1)
    await added_to(backend, "f", LARGE, SMALL)
    assert missing(backend) == (Feature.COPIED_PART_CHECKSUMS,)
    assert await s3.body("tenant/f") == LARGE + SMALL


@pytest.mark.parametrize("first", ["rename", "append"])
async def test_a_copy_of_a_whole_file_does_not_show_that_those_of_parts_are_told_right(
    open_backend: Opener, s3: S3, proxy: FaultProxy, first: str
) -> None:
    """versitygw tells the checksum of the whole source, which is right of a copy that is the whole source."""
    backend = await open_backend(lacks=("conditional-copies",))
    whole, old = data_of(PART, seed=1), LARGE
    await put(backend, "whole", whole)
    await put(backend, "f", old)
    proxy.log.clear()
    rule = proxy.on("UploadPartCopy", do=telling(zlib.crc32(whole)), key="renamed|whole")
    if first == "rename":
        await backend.rename(place("whole"), place("renamed"), ALICE, overwrite=False)
    else:
        await added_to(backend, "whole", whole, SMALL)
    assert rule.hits == 1
    assert proxy.log.count("GetObject") == 0
    proxy.on("UploadPartCopy", do=telling(zlib.crc32(old)), key="/f$")
    await added_to(backend, "f", old, SMALL)
    assert Feature.COPIED_PART_CHECKSUMS in missing(backend)
    assert crc_text(zlib.crc32(old)) not in proxy.log.of("CompleteMultipartUpload")[-1].body.decode()
    assert await s3.body("tenant/f") == old + SMALL
    assert await s3.multipart_uploads() == []


async def test_a_checksum_of_checksums_is_not_that_of_a_copied_part(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    """Such has a whole source that another program has uploaded in parts."""
    backend = await open_backend(lacks=("conditional-copies",))
    await put(backend, "f", SMALL)
    told = telling(0).change

    def of_parts(reply: Reply) -> Reply:
        reply = told(reply)
        return replace(reply, body=reply.body.replace(b"AAAAAA==", b"AAAAAA==-3"))

    proxy.on("UploadPartCopy", do=Rewrite(of_parts), times=1)
    await backend.rename(place("f"), place("g"), ALICE, overwrite=False)
    assert await s3.body("tenant/g") == SMALL
    assert b"AAAAAA" not in proxy.log.of("CompleteMultipartUpload")[-1].body


async def test_an_answer_without_a_checksum_does_not_show_that_others_are_right(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    """A source that another program stored without checksums has none that could be told."""
    await put(backend, "f", LARGE)
    await put(backend, "g", LARGE)
    proxy.on("UploadPartCopy", do=telling(None), key="/f$")
    await added_to(backend, "f", LARGE, SMALL)
    proxy.log.clear()
    proxy.on("UploadPartCopy", do=telling(0), key="/g$")
    await added_to(backend, "g", LARGE, SMALL)
    assert proxy.log.count("GetObject") == 1
    assert b"AAAAAA==" not in proxy.log.of("CompleteMultipartUpload")[-1].body
    assert await s3.body("tenant/g") == LARGE + SMALL


async def test_an_upload_that_was_created_before_another_found_the_fault_finds_it_too(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    base = await put(backend, "f", LARGE)
    upload = await begin(backend, "f", base=base)
    await backend.write_chunk(upload, LARGE[:PART], ALICE)
    backend.client.features.lacks(Feature.COPIED_PART_CHECKSUMS, "another upload")
    proxy.on("UploadPartCopy", do=telling(0))
    await backend.keep_range(upload, PART, 2 * PART, ALICE)
    await backend.finish_write(upload, LARGE[2 * PART :], Finish(len(LARGE)), ALICE)
    assert b"AAAAAA==" not in proxy.log.of("CompleteMultipartUpload")[-1].body
    assert await s3.body("tenant/f") == LARGE


async def test_a_refusal_of_the_condition_alone_leaves_the_checksums(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    refusal = Answer(400, "InvalidArgument", "unsupported header")
    proxy.on("UploadPartCopy", do=refusal, header="^x-amz-copy-source-if-match:")
    await put(backend, "f", LARGE)
    await added_to(backend, "f", LARGE, SMALL)
    assert missing(backend) == (Feature.MATCHED_COPIES,)
    await added_to(backend, "f", LARGE + SMALL, SMALL)
    assert missing(backend) == (Feature.MATCHED_COPIES,)
    assert await s3.body("tenant/f") == LARGE + SMALL + SMALL
    assert "x-amz-checksum-crc32" in proxy.log.of("UploadPart")[-1].headers


async def test_a_refused_copy_behind_sent_bytes_does_not_show_what_was_in_the_way(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    refusal = Answer(400, "InvalidArgument", "unsupported header")
    proxy.on("UploadPartCopy", do=refusal, header="^x-amz-copy-source-if-match:")
    base = await put(backend, "f", LARGE)
    upload = await begin(backend, "f", base=base)
    await backend.write_chunk(upload, LARGE[:PART], ALICE)
    await backend.keep_range(upload, PART, 2 * PART, ALICE)
    await backend.finish_write(upload, LARGE[2 * PART :], Finish(len(LARGE)), ALICE)
    assert missing(backend) == ()
    assert await s3.body("tenant/f") == LARGE


@pytest.mark.parametrize("store", ["moto"], indirect=True)
async def test_a_store_that_wants_a_checksum_of_a_copied_part_without_telling_it_gets_it(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    """As Garage does. moto tells none either, and would do without."""
    await put(backend, "f", LARGE)
    unknown = Answer(400, "InvalidDigest", "Invalid checksum for part 1: in request = None")
    proxy.on("CompleteMultipartUpload", do=unknown, times=1)
    await added_to(backend, "f", LARGE, SMALL)
    assert Feature.COPIED_PART_CHECKSUMS in missing(backend)
    assert await s3.body("tenant/f") == LARGE + SMALL
    body = proxy.log.of("CompleteMultipartUpload")[-1].body.decode()
    assert crc_text(zlib.crc32(LARGE[:PART])) in body
    assert crc_text(zlib.crc32(LARGE[PART : 2 * PART])) in body


async def test_copies_of_which_no_checksum_is_told_are_made_side_by_side_behind_the_first(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    old = data_of(3 * PART)
    await put(backend, "f", old)
    proxy.on("UploadPartCopy", do=telling(None), times=1)
    held = proxy.on("UploadPartCopy", do=Hold())
    adding = asyncio.create_task(added_to(backend, "f", old, SMALL))
    await held.reached(2)
    held.release()
    await adding
    assert await s3.body("tenant/f") == old + SMALL


async def test_a_store_that_copies_parts_is_looked_at_once(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await put(backend, "f", LARGE)
    await added_to(backend, "f", LARGE, SMALL)
    assert proxy.log.count("GetObject") == 1
    await added_to(backend, "f", LARGE + SMALL, SMALL)
    assert proxy.log.count("GetObject") == 1
    assert missing(backend) == ()


async def test_reading_a_copied_part_leaves_connections_for_everything_else(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    """It is one of the downloads, of which there are fewer than connections."""
    backend = await open_backend(max_connections=2)
    await put(backend, "f", LARGE)
    proxy.on("UploadPartCopy", do=telling(zlib.crc32(LARGE[:PART])), times=1)
    reading = proxy.on("GetObject", do=Hold())
    async with backend.client.downloads.slot():
        adding = asyncio.create_task(added_to(backend, "f", LARGE, SMALL))
        while not any(seen.ended for seen in proxy.log.of("UploadPartCopy")):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert reading.hits == 0
    await reading.reached()
    assert not backend.client.downloads.has_slot
    reading.release()
    await adding
    assert await s3.body("tenant/f") == LARGE + SMALL


@pytest.mark.parametrize(
    ("status", "code"), [(412, "PreconditionFailed"), (416, "InvalidRange"), (416, "SomethingNew")]
)
async def test_a_copy_of_what_the_source_has_no_longer_says_that_it_changed(
    backend: S3Backend, s3: S3, proxy: FaultProxy, status: int, code: str
) -> None:
    await put(backend, "f", LARGE)
    refused = proxy.on("UploadPartCopy", do=Answer(status, code))
    with pytest.raises(Changed):
        await added_to(backend, "f", LARGE, SMALL)
    assert refused.hits == 1
    assert missing(backend) == ()
    assert await s3.body("tenant/f") == LARGE
    assert await s3.multipart_uploads() == []


async def test_a_copy_that_fails_for_another_reason_is_that_failure(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await put(backend, "f", LARGE)
    proxy.on("UploadPartCopy", do=Answer(403, "AccessDenied"))
    with pytest.raises(PermissionDenied):
        await added_to(backend, "f", LARGE, SMALL)
    proxy.clear()
    proxy.on("UploadPartCopy", do=MISSING)  # with and without checksums
    with pytest.raises(StorageError):
        await added_to(backend, "f", LARGE, SMALL)
    assert missing(backend) == ()
    assert await s3.body("tenant/f") == LARGE
    assert await s3.multipart_uploads() == []


# ── all of them ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("first", [SMALL, LARGE], ids=["one request", "parts"])
@pytest.mark.parametrize("refusal", [NOT_IMPLEMENTED, INVALID], ids=["501", "400"])
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "relayed"])
async def test_a_store_that_refuses_checksums_is_written_to_with_md5(
    open_backend: Opener, s3: S3, proxy: FaultProxy, refusal: Answer, first: bytes, direct: bool
) -> None:
    backend = await open_backend(direct_requests=direct)
    proxy.on(do=refusal, header=CHECKSUM)
    await put(backend, "d/first", first)
    assert missing(backend) == (Feature.CHECKSUMS,)
    proxy.log.clear()
    await put(backend, "d/small", SMALL)
    await put(backend, "d/large", LARGE)
    await added_to(backend, "d/large", LARGE, SMALL)
    await backend.make_dir(place("made"), ALICE)
    await backend.rename(place("d"), place("e"), ALICE, overwrite=True)
    assert [await s3.body(f"tenant/e/{name}") for name in ("first", "small", "large")] == [
        first,
        SMALL,
        LARGE + SMALL,
    ]
    assert not any(name.startswith("x-amz-checksum") for seen in proxy.log for name in seen.headers)
    assert all("content-md5" in seen.headers for seen in proxy.log.of("PutObject", "UploadPart"))


async def test_a_store_may_refuse_the_checksum_of_a_part_alone(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    proxy.on("UploadPart", "PutObject", do=NOT_IMPLEMENTED, header=CHECKSUM)
    await put(backend, "f", LARGE)
    assert await s3.body("tenant/f") == LARGE
    assert missing(backend) == (Feature.CHECKSUMS,)


async def test_an_exclusive_write_stays_exclusive(backend: S3Backend, s3: S3, proxy: FaultProxy) -> None:
    proxy.on(do=NOT_IMPLEMENTED, header=CHECKSUM)
    upload = await begin(backend, "f", exclusive=True)
    await s3.put("tenant/f", b"theirs")
    with pytest.raises(AlreadyExists):
        await send(backend, upload, SMALL)
    assert await s3.body("tenant/f") == b"theirs"


async def test_bytes_that_are_damaged_on_their_way_do_not_show_that_checksums_are_unknown(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend(attempts=1)
    for refusal in (Answer(400, "BadDigest"), Answer(400, "ChecksumMismatch"), DIGEST):
        proxy.on("PutObject", "UploadPart", do=refusal, header=CHECKSUM)
        for data in (SMALL, LARGE):
            with pytest.raises(StorageError):
                await put(backend, "f", data)
        proxy.clear()
    assert missing(backend) == ()
    assert await s3.keys() == []


@pytest.mark.parametrize("checksum", ["md5", "none"])
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "relayed"])
async def test_where_checksums_are_not_wanted_no_request_speaks_of_them(
    open_backend: Opener, proxy: FaultProxy, checksum: str, direct: bool
) -> None:
    backend = await open_backend(checksum=checksum, direct_requests=direct, copy_part_bytes=PART)
    await put(backend, "d/small", SMALL)
    await put(backend, "d/large", LARGE)
    await added_to(backend, "d/large", LARGE, SMALL)
    info = await backend.file_info(place("d/small"), ALICE)
    await backend.stored_digest(place("d/small"), info, "crc32", ALICE)
    await backend.make_dir(place("d/made"), ALICE)
    await backend.rename(place("d"), place("e"), ALICE, overwrite=True)
    spoken = {name for seen in proxy.log for name in seen.headers if "checksum" in name}
    assert spoken == set()


async def test_a_batch_of_removals_is_proven_by_md5(backend: S3Backend, proxy: FaultProxy) -> None:
    for name in "abc":
        await put(backend, f"d/{name}", SMALL)
    await backend.rename(place("d"), place("e"), ALICE, overwrite=True)
    [request] = proxy.log.of("DeleteObjects")
    assert "content-md5" in request.headers
    assert not any("checksum" in name for name in request.headers)


# ── parts of one size ───────────────────────────────────────────────────────────────────────────────


async def test_kept_bytes_come_in_parts_of_one_size(backend: S3Backend, s3: S3, proxy: FaultProxy) -> None:
    old = data_of(3 * PART + 77)
    await put(backend, "f", old)
    proxy.log.clear()
    await added_to(backend, "f", old, LARGE)
    assert await s3.body("tenant/f") == old + LARGE
    ranges = [seen.headers["x-amz-copy-source-range"] for seen in proxy.log.of("UploadPartCopy")]
    assert sorted(ranges) == sorted(f"bytes={at * PART}-{(at + 1) * PART - 1}" for at in range(3))
    sizes = [seen.bytes_in for seen in proxy.log.of("UploadPart")]
    assert {*sizes[:-1]} == {PART}
    assert sizes[-1] <= PART


async def test_a_file_of_more_than_a_thousand_parts_has_them_of_one_size(
    open_backend: Opener, proxy: FaultProxy
) -> None:
    backend = await open_backend(part_bytes=64, min_part_bytes=1)
    upload = await begin(backend, "f")
    sizes = set[int]()
    for _ in range(4_999):
        upload.reserve_numbers()
        sizes.add(upload.chunk_bytes)
    assert sizes == {64}


async def test_where_the_store_is_known_to_want_one_size_a_file_that_is_too_large_says_what_helps(
    open_backend: Opener, s3: S3
) -> None:
    backend = await open_backend(part_bytes=64, min_part_bytes=1, lacks=("unequal-parts",))
    upload = await begin(backend, "f")
    upload.reserve_numbers(10_000)
    assert (upload.chunk_bytes, upload.keep_unit_bytes) == (64, 64)
    with pytest.raises(InvalidRequest, match=r"640000 bytes.*s3\.part_bytes"):
        await backend.write_chunk(upload, bytes(64), ALICE)


async def test_a_file_that_cannot_be_kept_in_parts_of_one_size_is_refused_before_anything_is_copied(
    open_backend: Opener, proxy: FaultProxy
) -> None:
    backend = await open_backend(part_bytes=64, min_part_bytes=1, lacks=("unequal-parts",))
    base = await put(backend, "f", bytes(64))
    upload = await begin(backend, "f", base=replace(base, size=64 * 10_001))
    with pytest.raises(InvalidRequest, match="too large"):
        await backend.keep_range(upload, 0, 64 * 10_001, ALICE)
    assert proxy.log.count("CreateMultipartUpload") == 0


async def test_a_store_that_wants_one_size_is_understood_from_its_refusal(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    proxy.on(
        "CompleteMultipartUpload",
        do=Answer(400, "InvalidPart", "All non-trailing parts must have the same length."),
        times=1,
    )
    upload = await begin(backend, "f")
    upload.chunk_bytes = 2 * PART
    await backend.write_chunk(upload, LARGE[: 2 * PART], ALICE)
    await backend.write_chunk(upload, LARGE[:PART], ALICE)
    with pytest.raises(StorageFailure, match="one size"):
        await backend.finish_write(upload, SMALL, Finish(3 * PART + len(SMALL)), ALICE)
    await backend.abort_write(upload, ALICE)
    assert missing(backend) == (Feature.UNEQUAL_PARTS,)


def test_r2_is_known_by_its_address() -> None:
    for address, lacking in (
        ("https://0123.r2.cloudflarestorage.com", (Feature.UNEQUAL_PARTS,)),
        ("https://s3.eu-west-1.amazonaws.com", ()),
    ):
        features = Features()
        features.is_at(address)
        assert features.missing == lacking
