"""Stores that have no tags take everything else."""

from __future__ import annotations

import pytest

from s3sftp.backends.s3.features import Feature
from s3sftp.errors import StorageError
from tests.backends.s3.conftest import ALICE, PART, Opener, place
from tests.backends.s3.upload_driver import data_of, put
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, LoseReply
from tests.support.logs import capture_events
from tests.support.s3_client import S3

LARGE = data_of(PART + 10)
MAKES = ("PutObject", "CreateMultipartUpload")


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (400, "InvalidArgument")])
@pytest.mark.parametrize("data", [b"small", LARGE], ids=["small", "large"])
async def test_a_file_is_stored_without_the_tags_that_the_store_refuses_and_the_log_says_so_once(
    open_backend: Opener, s3: S3, proxy: FaultProxy, data: bytes, status: int, code: str
) -> None:
    backend = await open_backend(tags={"team": "a"})
    rule = proxy.on(*MAKES, do=Answer(status, code), times=1)
    with capture_events() as log:
        for name in ("f", "g"):
            await put(backend, name, data)
            assert await s3.body(f"tenant/{name}") == data
    assert rule.hits == 1
    assert ["x-amz-tagging" in seen.headers for seen in proxy.log.of(*MAKES)] == [True, False, False]
    [told] = [each for each in log if each["event"] == "s3.feature_missing"]
    assert told["feature"] == "tags"


@pytest.mark.parametrize(
    ("refusal", "times"),
    [
        (Answer(501, "NotImplemented"), 4),  # with tags and without, with each checksum
        (Answer(400, "InvalidRequest"), 4),
        (Answer(400, "InvalidTag"), 1),
        (Answer(403, "AccessDenied"), 1),
    ],
)
async def test_what_is_refused_without_tags_too_says_nothing_of_them(
    open_backend: Opener, proxy: FaultProxy, refusal: Answer, times: int
) -> None:
    """A role that may not tag is no store without tags, nor is a store that refuses a wrong one: files would
    lose what the operator wants."""
    backend = await open_backend(tags={"team": "a"})
    proxy.on("PutObject", do=refusal, times=times)
    with pytest.raises(StorageError):
        await put(backend, "f", b"x")
    assert proxy.log.count("PutObject") == times
    assert backend.client.features.missing == ()
    await put(backend, "f", b"x")
    assert "x-amz-tagging" in proxy.log.of("PutObject")[-1].headers


async def test_a_file_whose_answer_is_lost_behind_the_refused_tags_is_looked_for(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend(tags={"team": "a"}, attempts=1)
    proxy.on("PutObject", do=Answer(501, "NotImplemented"), header="^x-amz-tagging:")
    proxy.on("PutObject", do=LoseReply())
    await put(backend, "f", b"x")
    assert await s3.body("tenant/f") == b"x"
    assert backend.client.features.missing == ()


@pytest.mark.parametrize("status", [405, 501])
async def test_a_copy_in_parts_does_without_the_tags_that_the_store_cannot_tell(
    open_backend: Opener, s3: S3, proxy: FaultProxy, status: int
) -> None:
    backend = await open_backend(copy_part_bytes=PART)
    await s3.put("tenant/old", LARGE, Tagging="kind=invoice")
    proxy.on("GetObjectTagging", do=Answer(status, "NotImplemented"))
    await backend.rename(place("old"), place("new"), ALICE, overwrite=False)
    assert await s3.body("tenant/new") == LARGE
    assert backend.client.features.missing == (Feature.TAGS,)


async def test_what_the_operator_says_is_not_tried(open_backend: Opener, proxy: FaultProxy) -> None:
    backend = await open_backend(tags={"team": "a"}, lacks=["tags"])
    await put(backend, "f", b"x")
    assert ["x-amz-tagging" in seen.headers for seen in proxy.log.of("PutObject")] == [False]
