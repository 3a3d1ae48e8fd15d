"""What has to be said in each request is said in each: of files, trees, journal, janitor and `check`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from s3sftp.backends.contract import Finish
from s3sftp.backends.s3 import S3Backend, check
from testbed.s3_store import Store
from tests.backends.s3.conftest import ALICE, PART, Opener, options_for, place
from tests.backends.s3.upload_driver import begin, data_of, get, names, put
from tests.support.fault_proxy import FaultProxy
from tests.support.s3_client import S3

_model: Any = botocore.session.Session().get_service_model("s3")
LARGE = data_of(2 * PART + 7)
ALL = {
    *("HeadObject", "GetObject", "PutObject", "CopyObject", "DeleteObject", "DeleteObjects", "ListObjectsV2"),
    *("CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload"),
    *("AbortMultipartUpload", "ListMultipartUploads"),
}


async def everything(backend: S3Backend, s3: S3) -> None:
    """What users, the journal and the janitor ask a store for."""
    await backend.make_dir(place("d"), ALICE)
    await put(backend, "d/small", b"x", mtime=1000)
    info = await put(backend, "d/large", LARGE)
    assert await get(backend, "d/large", 0, info.size, info.version) == LARGE
    assert await names(backend, "d") == [b"large", b"small"]
    upload = await begin(backend, "d/large", base=info)
    await backend.keep_range(upload, 0, PART, ALICE)
    await backend.finish_write(upload, b"tail", Finish(PART + 4), ALICE)
    await backend.set_mtime(place("d/small"), 2000, ALICE)
    await backend.rename(place("d"), place("e"), ALICE, overwrite=False)
    await backend.copy(place("e/large"), place("f"), ALICE, version=None)
    given_up = await begin(backend, "g")
    await backend.write_chunk(given_up, LARGE[:PART], ALICE)
    await backend.abort_write(given_up, ALICE)
    await s3.client.create_multipart_upload(Bucket=s3.bucket, Key="tenant/lost")
    await backend.janitor.sweep()
    await backend.delete(place("f"), ALICE)
    await backend.probe()


@pytest.fixture(params=[True, False], ids=["direct", "relayed"])
def direct_requests(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_who_asks_pays_for_each_request(
    open_backend: Opener, proxy: FaultProxy, proxied: Store, s3: S3, tmp_path: Path, direct_requests: bool
) -> None:
    backend = await open_backend(
        tmp_path, requester_pays=True, journal="bucket", copy_part_bytes=PART, direct_requests=direct_requests
    )
    await everything(backend, s3)
    await check(options_for(proxied, s3.bucket, requester_pays=True, direct_requests=direct_requests))
    seen = {each.api: each for each in proxy.log}
    assert seen.keys() >= ALL - {"ListMultipartUploads"}
    for each in proxy.log:
        takes_it = "RequestPayer" in _model.operation_model(each.api).input_shape.members
        assert (each.headers.get("x-amz-request-payer") == "requester") is takes_it, each.api


async def test_nobody_says_so_without_the_option(open_backend: Opener, proxy: FaultProxy, s3: S3) -> None:
    await everything(await open_backend(), s3)
    assert not any("x-amz-request-payer" in each.headers for each in proxy.log)


async def test_each_payload_is_signed(
    open_backend: Opener, proxy: FaultProxy, proxied: Store, s3: S3, direct_requests: bool
) -> None:
    backend = await open_backend(
        signed_payloads=True, journal="bucket", copy_part_bytes=PART, direct_requests=direct_requests
    )
    await everything(backend, s3)
    await check(options_for(proxied, s3.bucket, signed_payloads=True, direct_requests=direct_requests))
    for each in proxy.log:
        assert re.fullmatch(r"[0-9a-f]{64}", each.headers["x-amz-content-sha256"]), each.api


async def test_payloads_are_not_hashed_once_more_without_the_option(
    open_backend: Opener, proxy: FaultProxy
) -> None:
    await put(await open_backend(), "f", b"x")
    [seen] = proxy.log.of("PutObject")
    assert seen.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
