"""What is written is written as the options say, and a client's time is kept."""

from __future__ import annotations

import pytest

from s3sftp.backends.contract import Finish
from s3sftp.backends.s3 import S3Backend
from s3sftp.errors import NotFound, StorageFailure
from tests.backends.s3.conftest import ALICE, PART, Opener, place
from tests.backends.s3.upload_driver import begin, data_of, put, send
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer
from tests.support.s3_client import S3

SIZES = pytest.mark.parametrize("size", [10, PART + 10], ids=["small", "large"])
MOTO = pytest.mark.parametrize("store", ["moto"], indirect=True)


@MOTO
@SIZES
async def test_metadata_tags_class_and_encryption_are_those_of_the_options(
    open_backend: Opener, s3: S3, size: int
) -> None:
    backend = await open_backend(
        metadata={"Source": "sftp"},
        tags={"team": "a b"},
        storage_class="STANDARD_IA",
        sse="aws:kms",
        sse_kms_key_id="key-1",
        bucket_key_enabled=True,
    )
    await put(backend, "f", data_of(size))
    for key in ("f", "copied"):
        head = await s3.head(f"tenant/{key}")
        assert head["Metadata"]["source"] == "sftp"
        assert len(head["Metadata"]["s3sftp-upload"]) == 36
        assert head["StorageClass"] == "STANDARD_IA"
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "key-1")
        tags = await s3.client.get_object_tagging(Bucket=s3.bucket, Key=f"tenant/{key}")
        assert tags["TagSet"] == [{"Key": "team", "Value": "a b"}]
        if key == "f":
            await backend.copy(place("f"), place("copied"), ALICE, version=None)


@pytest.mark.parametrize("checksum", ["crc32", "sha256", "md5", "none"])
@pytest.mark.parametrize("store", ["seaweed", "moto"], indirect=True)
async def test_every_checksum_works_for_every_kind_of_write(
    open_backend: Opener, s3: S3, proxy: FaultProxy, checksum: str
) -> None:
    backend = await open_backend(checksum=checksum)
    small, large = data_of(100), data_of(2 * PART + 5)
    await put(backend, "small", small)
    base = await put(backend, "large", large)
    upload = await begin(backend, "large", base=base)
    await backend.keep_range(upload, 0, 2 * PART, ALICE)
    await backend.finish_write(upload, b"tail", Finish(2 * PART + 4), ALICE)
    assert await s3.body("tenant/small") == small
    assert await s3.body("tenant/large") == large[: 2 * PART] + b"tail"
    await backend.make_dir(place("d"), ALICE)
    await put(backend, "d/f", small)
    await backend.rename(place("d"), place("e"), ALICE, overwrite=False)
    assert await s3.keys("tenant/e/") == ["tenant/e/", "tenant/e/f"]
    names = {name for seen in proxy.log.of("PutObject", "UploadPart") for name in seen.headers}
    header = {"crc32": "x-amz-checksum-crc32", "sha256": "x-amz-checksum-sha256", "md5": "content-md5"}
    for algorithm, name in header.items():
        assert (name in names) == (algorithm == checksum)


async def test_the_checksum_of_the_whole_is_sent_with_complete(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    import zlib

    from s3sftp.backends.s3.checksums.digest import crc_text

    data = data_of(2 * PART + 5)
    await put(backend, "f", data)
    [complete] = proxy.log.of("CompleteMultipartUpload")
    assert complete.headers["x-amz-checksum-crc32"] == crc_text(zlib.crc32(data))
    assert complete.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert complete.headers["x-amz-mp-object-size"] == str(len(data))


@SIZES
async def test_a_time_given_at_the_end_is_kept_as_rclone_keeps_it(
    backend: S3Backend, s3: S3, size: int
) -> None:
    info = await put(backend, "f", data_of(size), mtime=1234567890.5)
    head = await s3.head("tenant/f")
    assert head["Metadata"]["mtime"] == "1234567890.5"
    assert len(head["Metadata"]["s3sftp-upload"]) == 36
    assert info.mtime == 1234567890.5
    assert info.version == head["ETag"]
    assert await backend.file_info(place("f"), ALICE) == info


async def test_a_time_that_cannot_be_kept_does_not_fail_the_file(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    proxy.on("CopyObject", do=Answer(403, "AccessDenied"))
    info = await put(backend, "f", data_of(PART + 1), mtime=1000)
    assert info.mtime != 1000
    assert "mtime" not in (await s3.head("tenant/f"))["Metadata"]


async def test_a_late_time_leaves_all_else_as_it_was(backend: S3Backend, s3: S3) -> None:
    await s3.put("tenant/f", b"x", ContentType="text/csv", Metadata={"owner": "p"}, Tagging="a=b")
    assert await backend.set_mtime(place("f"), 1000.25, ALICE)
    head = await s3.head("tenant/f")
    assert head["Metadata"] == {"owner": "p", "mtime": "1000.25"}
    assert head["ContentType"] == "text/csv"
    tags = await s3.client.get_object_tagging(Bucket=s3.bucket, Key="tenant/f")
    assert tags["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert (await backend.file_info(place("f"), ALICE)).mtime == 1000.25


@pytest.mark.parametrize("options", [{"late_mtime": "ignore"}, {"late_mtime_max_bytes": 5}])
async def test_a_late_time_is_ignored_where_that_is_the_policy(
    open_backend: Opener, s3: S3, proxy: FaultProxy, options: dict[str, object]
) -> None:
    backend = await open_backend(**options)
    await put(backend, "f", b"123456")
    assert not await backend.set_mtime(place("f"), 1000, ALICE)
    await backend.make_dir(place("d"), ALICE)
    assert not await backend.set_mtime(place("d"), 1000, ALICE)
    with pytest.raises(NotFound):
        await backend.set_mtime(place("nothing"), 1000, ALICE)
    assert proxy.log.count("CopyObject") == 0


@pytest.mark.parametrize(
    "refusal",
    [
        Answer(403, "InvalidObjectState"),
        Answer(403, "ObjectNotInActiveTierError"),
        Answer(403, "AccessDenied"),
        Answer(400, "InvalidRequest"),
        Answer(400, "EntityTooLarge"),
        Answer(400, "KMS.DisabledException"),
        Answer(501, "NotImplemented"),
    ],
    ids=lambda refusal: refusal.code,
)
async def test_a_late_time_of_what_cannot_be_copied_is_given_up(
    backend: S3Backend, proxy: FaultProxy, refusal: Answer
) -> None:
    """Such as an object in an archive class, or one whose tags or key the server may not read."""
    info = await put(backend, "f", b"x")
    proxy.on("CopyObject", do=refusal)
    assert not await backend.set_mtime(place("f"), 1000, ALICE)
    assert await backend.file_info(place("f"), ALICE) == info


async def test_a_store_that_fails_does_not_give_a_late_time_up(backend: S3Backend, proxy: FaultProxy) -> None:
    await put(backend, "f", b"x")
    for fault in (
        Answer(500, "InternalError"),
        Answer(403, "InvalidAccessKeyId"),
        Answer(404, "NoSuchBucket"),
    ):
        rule = proxy.on("CopyObject", do=fault, times=3)
        with pytest.raises(StorageFailure):
            await backend.set_mtime(place("f"), 1000, ALICE)
        assert rule.hits
        proxy.clear()


@SIZES
async def test_a_time_known_at_the_beginning_costs_no_copy(
    backend: S3Backend, s3: S3, proxy: FaultProxy, size: int
) -> None:
    upload = await begin(backend, "f", mtime=1000.5)
    info = await send(backend, upload, data_of(size), mtime=1000.5)
    assert (await s3.head("tenant/f"))["Metadata"]["mtime"] == "1000.5"
    assert info.mtime == 1000.5
    assert proxy.log.count("CopyObject") == 0


@SIZES
async def test_a_base_of_which_nothing_is_kept_does_not_matter(backend: S3Backend, s3: S3, size: int) -> None:
    base = await put(backend, "f", b"base")
    upload = await begin(backend, "f", base=base)
    await s3.put("tenant/f", b"theirs")
    data = data_of(size)
    if size > PART:
        await backend.write_chunk(upload, data[:PART], ALICE)
    tail = data[PART:] if size > PART else data
    await backend.finish_write(upload, tail, Finish(size, base_kept=False), ALICE)
    assert await s3.body("tenant/f") == data
