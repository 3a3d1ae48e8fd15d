"""The tests' own tools do what they say: a proxy breaks nothing by accident, everything on command."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientError as HttpError
from botocore.exceptions import BotoCoreError, ClientError

from testbed.request_log import api_of
from testbed.s3_store import Store
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import (
    Answer,
    CutBody,
    FlipReplyByte,
    FlipRequestByte,
    Hold,
    HoldReply,
    LoseReply,
    Meanwhile,
    Reset,
    StallBody,
)
from tests.support.s3_client import S3, s3_client

BODY = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
async def via(proxied: Store, bucket: str) -> AsyncIterator[S3]:
    """The bucket through the proxy."""
    async with s3_client(proxied, bucket) as client:
        yield client


@pytest.mark.parametrize("store", ["seaweed", "moto"], indirect=True)
async def test_the_proxy_passes_everything_on_unchanged(via: S3, s3: S3, proxy: FaultProxy) -> None:
    await via.put("a b/ü+%#?.bin", BODY)
    assert await s3.body("a b/ü+%#?.bin") == BODY
    assert await via.body("a b/ü+%#?.bin") == BODY
    assert await via.keys() == ["a b/ü+%#?.bin"]
    await via.delete("a b/ü+%#?.bin")
    assert await s3.keys() == []
    assert proxy.log.by_api() == {"PutObject": 1, "GetObject": 1, "ListObjectsV2": 1, "DeleteObject": 1}
    assert [seen.key for seen in proxy.log.of("PutObject")] == ["a b/ü+%#?.bin"]


async def test_the_proxy_counts_bytes_and_keeps_connections(via: S3, proxy: FaultProxy) -> None:
    await via.put("x", BODY)
    for _ in range(5):
        await via.body("x")
    assert proxy.log.of("GetObject")[-1].bytes_out == len(BODY)
    assert proxy.log.of("PutObject")[0].bytes_in >= len(BODY)
    assert len(proxy._connections) == 1


async def test_wrong_signatures_are_refused_through_the_proxy(proxied: Store, bucket: str) -> None:
    stranger = Store("seaweed", proxied.endpoint_url, proxied.access_key, "wrong")
    async with s3_client(stranger, bucket) as client:
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            await client.put("x", b"")


async def test_a_passing_fault_is_applied_as_often_as_the_rule_says(via: S3, proxy: FaultProxy) -> None:
    rule = proxy.on("PutObject", do=Answer(503, "SlowDown"), key="^x$", skip=1, times=1)
    for name in ("x", "y", "x", "x"):
        await via.put(name, BODY)
    assert (rule.hits, rule.matched) == (1, 4)
    assert [seen.status for seen in proxy.log.of("PutObject", key="x")] == [200, 503, 200, 200]


async def test_an_error_can_hide_behind_status_200(via: S3, proxy: FaultProxy) -> None:
    proxy.on("CopyObject", do=Answer(200, "InternalError"))
    await via.put("x", b"x")
    with pytest.raises(ClientError, match="InternalError"):
        await via.client.copy_object(
            Bucket=via.bucket, Key="y", CopySource={"Bucket": via.bucket, "Key": "x"}
        )


async def test_a_reset_request_never_reaches_s3_and_a_lost_reply_has_done_its_work(
    via: S3, s3: S3, proxy: FaultProxy
) -> None:
    proxy.on("PutObject", do=Reset(), key="reset")
    lost = proxy.on("PutObject", do=LoseReply(), key="lost", times=1)
    with pytest.raises((BotoCoreError, HttpError, OSError)):
        await via.put("reset", BODY)
    await via.put("lost", BODY)
    assert lost.hits == 1
    assert await s3.keys() == ["lost"]
    assert proxy.log.count("PutObject", key="lost") == 2


@pytest.mark.parametrize("reset", [False, True])
async def test_a_body_can_be_cut(via: S3, proxy: FaultProxy, *, reset: bool) -> None:
    await via.put("x", BODY)
    proxy.on("GetObject", do=CutBody(100_000, reset=reset))
    with pytest.raises((HttpError, BotoCoreError, OSError)):
        await via.body("x")
    assert proxy.log.of("GetObject")[0].bytes_out == 100_000


async def test_a_body_can_stall_until_released(via: S3, proxy: FaultProxy) -> None:
    await via.put("x", BODY)
    rule = proxy.on("GetObject", do=StallBody(100_000))
    reading = asyncio.create_task(via.body("x"))
    await rule.reached()
    await asyncio.sleep(0.2)
    assert not reading.done()
    rule.release()
    assert await reading == BODY


async def test_one_bit_can_be_changed_on_the_way_back(via: S3, proxy: FaultProxy) -> None:
    await via.put("x", BODY)
    proxy.on("GetObject", do=FlipReplyByte(70_000))
    answer = await via.client.get_object(Bucket=via.bucket, Key="x", Range="bytes=0-99999")
    async with answer["Body"] as stream:
        got = await stream.read()
    assert [at for at in range(100_000) if got[at] != BODY[at]] == [70_000]


async def test_one_bit_can_be_changed_on_the_way_there(via: S3, s3: S3, proxy: FaultProxy) -> None:
    proxy.on("PutObject", do=FlipRequestByte(70_000))
    digest = base64.b64encode(hashlib.md5(BODY).digest()).decode()
    with pytest.raises(ClientError):
        await via.put("x", BODY, ContentMD5=digest)
    assert not await s3.exists("x")


async def test_a_held_request_waits_before_s3_and_a_held_reply_after_it(
    via: S3, s3: S3, proxy: FaultProxy
) -> None:
    before = proxy.on("PutObject", do=Hold(), key="before")
    after = proxy.on("PutObject", do=HoldReply(), key="after")
    writing = [asyncio.create_task(via.put(name, BODY)) for name in ("before", "after")]
    await before.reached()
    await after.reached()
    while not await s3.exists("after"):
        await asyncio.sleep(0.02)
    assert await s3.keys() == ["after"]
    assert not any(task.done() for task in writing)
    proxy.release_all()
    await asyncio.gather(*writing)
    assert await s3.keys() == ["after", "before"]


async def test_a_held_request_ends_when_its_client_leaves(via: S3, s3: S3, proxy: FaultProxy) -> None:
    rule = proxy.on("PutObject", do=Hold())
    writing = asyncio.create_task(via.put("x", BODY))
    await rule.reached()
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    async with asyncio.timeout(30):
        while proxy.running():
            await asyncio.sleep(0.02)
    assert await s3.keys() == []


async def test_something_else_can_happen_just_before_a_request(via: S3, s3: S3, proxy: FaultProxy) -> None:
    await via.put("x", b"old")
    proxy.on("GetObject", do=Meanwhile(lambda: s3.put("x", b"new")))
    assert await via.body("x") == b"new"


async def test_latency_and_bandwidth_are_as_asked(via: S3, proxy: FaultProxy) -> None:
    await via.put("x", BODY)
    proxy.latency = 0.2
    started = time.monotonic()
    await via.head("x")
    assert time.monotonic() - started >= 0.2
    proxy.latency, proxy.bytes_per_second = 0, 4 * len(BODY)
    started = time.monotonic()
    assert await via.body("x") == BODY
    assert time.monotonic() - started >= 0.24


async def test_an_endpoint_that_went_down_comes_up_on_the_same_port(via: S3, proxy: FaultProxy) -> None:
    url = proxy.url
    await proxy.down()
    with pytest.raises((BotoCoreError, HttpError, OSError)):
        await via.head("x")
    await proxy.up()
    assert proxy.url == url
    await via.put("x", b"")


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "api"),
    [
        ("PUT", "/b/k", {"partNumber": "1", "uploadId": "u"}, {}, "UploadPart"),
        ("PUT", "/b/k", {"partNumber": "1", "uploadId": "u"}, {"x-amz-copy-source": "b/x"}, "UploadPartCopy"),
        ("PUT", "/b/k", {}, {"x-amz-copy-source": "b/x"}, "CopyObject"),
        ("POST", "/b/k", {"uploads": ""}, {}, "CreateMultipartUpload"),
        ("POST", "/b/k", {"uploadId": "u"}, {}, "CompleteMultipartUpload"),
        ("DELETE", "/b/k", {"uploadId": "u"}, {}, "AbortMultipartUpload"),
        ("GET", "/b", {"list-type": "2"}, {}, "ListObjectsV2"),
        ("GET", "/b/", {"uploads": ""}, {}, "ListMultipartUploads"),
        ("POST", "/b", {"delete": ""}, {}, "DeleteObjects"),
        ("GET", "/", {}, {}, "ListBuckets"),
    ],
)
def test_requests_are_named_by_their_api(
    method: str, path: str, query: dict[str, str], headers: dict[str, str], api: str
) -> None:
    assert api_of(method, path, query, headers) == api
