"""A success that proves nothing is none: what a captive proxy or a broken gateway says in S3's place."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from s3sftp.backends.s3 import S3Backend
from s3sftp.errors import NotFound, StorageError, StorageFailure
from s3sftp.telemetry import Costs, charging
from testbed.s3_store import Store
from tests.backends.s3.conftest import ALICE, PART, Opener, place
from tests.backends.s3.test_janitor import journal_files
from tests.backends.s3.upload_driver import begin, data_of, get, names, put
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Foreign
from tests.support.s3_client import S3

SMALL = b"small file"
LARGE = data_of(PART + 1000)
XHTML = b"<?xml version='1.0'?><html><head><title>Log in</title></head><body/></html>"
PAGES = {
    "html": Foreign(b"<!DOCTYPE html><html><p>Please<br>log in</html>"),
    "xhtml": Foreign(XHTML),
    "nothing": Foreign(headers=()),
    "json": Foreign(b'{"error": "log in"}', headers=(("Content-Type", "application/json"),)),
    "another server's ETag": Foreign(XHTML, headers=(("ETag", '"5f-61"'), ("Content-Type", "text/html"))),
}
PUTS = ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload")


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest) -> Foreign:
    return PAGES[request.param]


@pytest.fixture(params=[True, False], ids=["direct", "relayed"])
async def backend(request: pytest.FixtureRequest, open_backend: Opener) -> S3Backend:
    """Quick to give up, by either way to send a request."""
    return await open_backend(direct_requests=request.param, attempts=2)


def data_for(api: str) -> bytes:
    return SMALL if api == "PutObject" else LARGE


@pytest.mark.parametrize("store", ["seaweed", "moto", "rclone"], indirect=True)
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "relayed"])
async def test_what_stores_answer_is_believed(
    open_backend: Opener, store: Store, proxy: FaultProxy, direct: bool
) -> None:
    """Nothing of what is done every day is looked up, or asked for again.

    rclone itself sometimes fails, with status 500, for copies side by side into a directory that is new.
    """
    large = {} if store.name == "rclone" else {"copy_part_bytes": PART}
    backend = await open_backend(direct_requests=direct, **large)
    proxy.log.clear()
    with charging(Costs()) as costs:
        await put(backend, "d/small", SMALL)
        await put(backend, "d/empty", b"")
        await put(backend, "d/large", LARGE)
        abandoned = await begin(backend, "d/abandoned")
        await backend.write_chunk(abandoned, LARGE[:PART], ALICE)
        await backend.abort_write(abandoned, ALICE)
        assert await names(backend, "d") == [b"empty", b"large", b"small"]
        info = await backend.file_info(place("d/large"), ALICE)
        assert await get(backend, "d/large", PART, len(LARGE), info.version) == LARGE[PART:]
        await backend.rename(place("d"), place("e"), ALICE, overwrite=True)
        assert await names(backend, "e") == [b"empty", b"large", b"small"]
        await backend.delete(place("e/small"), ALICE)
    assert costs.retries == sum(seen.status is None or seen.status >= 500 for seen in proxy.log)
    assert costs.requests["DeleteObject"] == 1
    assert await backend.janitor.sweep() == 0
    assert [seen.status for seen in proxy.log.of("AbortMultipartUpload")] == [204]


@pytest.mark.parametrize("store", ["rclone"], indirect=True)
async def test_a_store_that_takes_a_copied_part_for_an_empty_one_loses_nothing(
    open_backend: Opener, s3: S3
) -> None:
    """It does not know x-amz-copy-source there, and says 200 with the ETag of nothing."""
    backend = await open_backend(copy_part_bytes=PART, attempts=2, cache_ttl=timedelta(0))
    await put(backend, "old", LARGE)
    with pytest.raises(StorageFailure):
        await backend.rename(place("old"), place("new"), ALICE, overwrite=True)
    assert await s3.body("tenant/old") == LARGE
    assert await s3.keys() == ["tenant/old"]


@pytest.mark.parametrize("api", PUTS)
async def test_a_file_that_nobody_stored_is_an_error(
    backend: S3Backend, s3: S3, proxy: FaultProxy, page: Foreign, api: str
) -> None:
    await s3.put("tenant/f", b"old")
    proxy.on(api, do=page)
    with pytest.raises(StorageFailure):
        await put(backend, "f", data_for(api))
    proxy.clear()
    assert await s3.body("tenant/f") == b"old"
    assert await s3.multipart_uploads() == []
    assert (await backend.file_info(place("f"), ALICE)).size == 3


@pytest.mark.parametrize("api", PUTS)
async def test_one_that_passes_is_not_seen(
    backend: S3Backend, s3: S3, proxy: FaultProxy, page: Foreign, api: str
) -> None:
    rule = proxy.on(api, do=page, times=1)
    await put(backend, "f", data_for(api))
    assert rule.hits == 1
    assert await s3.body("tenant/f") == data_for(api)
    assert await s3.multipart_uploads() == []


@pytest.mark.parametrize("api", ["PutObject", "CompleteMultipartUpload"])
async def test_a_store_that_proves_nothing_and_stores_is_looked_into(
    backend: S3Backend, s3: S3, proxy: FaultProxy, page: Foreign, api: str
) -> None:
    """By the id of the write in the object's metadata."""
    proxy.on(api, do=replace(page, passed_on=True))
    info = await put(backend, "f", data_for(api))
    assert await s3.body("tenant/f") == data_for(api)
    assert (await s3.head("tenant/f"))["ETag"] == info.version
    assert proxy.log.count("HeadObject") == 1


@pytest.mark.parametrize("passed_on", [True, False], ids=["copied", "not copied"])
async def test_a_rename_removes_nothing_before_the_copy_is_proved(
    backend: S3Backend, s3: S3, proxy: FaultProxy, page: Foreign, passed_on: bool
) -> None:
    await put(backend, "old", SMALL)
    proxy.on("CopyObject", do=replace(page, passed_on=passed_on))
    if passed_on:
        await backend.rename(place("old"), place("new"), ALICE, overwrite=True)
    else:
        with pytest.raises(StorageFailure):
            await backend.rename(place("old"), place("new"), ALICE, overwrite=True)
    assert await s3.keys() == ["tenant/new" if passed_on else "tenant/old"]


async def test_a_part_that_nobody_copied_is_an_error(
    open_backend: Opener, s3: S3, proxy: FaultProxy, page: Foreign
) -> None:
    backend = await open_backend(copy_part_bytes=PART, attempts=2)
    await put(backend, "old", LARGE)
    proxy.on("UploadPartCopy", do=page)
    with pytest.raises(StorageError):
        await backend.rename(place("old"), place("new"), ALICE, overwrite=True)
    assert await s3.keys() == ["tenant/old"]
    assert await s3.multipart_uploads() == []


@pytest.mark.parametrize("passed_on", [True, False], ids=["removed", "not removed"])
async def test_a_file_is_removed_when_it_is_gone(
    backend: S3Backend, s3: S3, proxy: FaultProxy, page: Foreign, passed_on: bool
) -> None:
    await put(backend, "f", SMALL)
    proxy.on("DeleteObject", do=replace(page, passed_on=passed_on))
    if passed_on:
        await backend.delete(place("f"), ALICE)
    else:
        with pytest.raises(StorageFailure):
            await backend.delete(place("f"), ALICE)
    assert await s3.keys() == ([] if passed_on else ["tenant/f"])


async def test_a_tree_whose_removal_nobody_confirms_is_removed_file_by_file(
    backend: S3Backend, s3: S3, proxy: FaultProxy, page: Foreign
) -> None:
    for name in ("old/a", "old/b"):
        await put(backend, name, SMALL)
    rule = proxy.on("DeleteObjects", do=page)
    try:
        await backend.rename(place("old"), place("new"), ALICE, overwrite=True)
    except StorageFailure:
        assert [key for key in await s3.keys() if "/old/" in key] == ["tenant/old/a", "tenant/old/b"]
    else:
        assert [key for key in await s3.keys() if "/old/" in key] == []
    assert rule.hits
    assert [key for key in await s3.keys() if "/new/" in key] == ["tenant/new/a", "tenant/new/b"]


@pytest.mark.parametrize("api", ["HeadObject", "ListObjectsV2"])
async def test_nothing_is_said_to_be_there_or_missing_by_who_cannot_know(
    backend: S3Backend, s3: S3, proxy: FaultProxy, api: str
) -> None:
    """Without an ETag, that is: a web server's own cannot be told from the store's."""
    await s3.put("tenant/d/f", SMALL)
    for name in ("html", "xhtml", "nothing", "json"):
        proxy.clear()
        proxy.on(api, do=PAGES[name])
        with pytest.raises(StorageFailure):
            await (names(backend, "d") if api == "ListObjectsV2" else backend.file_info(place("d/f"), ALICE))


async def test_a_page_is_not_a_files_content(
    backend: S3Backend, s3: S3, proxy: FaultProxy, page: Foreign
) -> None:
    await s3.put("tenant/f", XHTML[::-1])  # of the same length
    info = await backend.file_info(place("f"), ALICE)
    proxy.on("GetObject", do=page)
    with pytest.raises(StorageError):
        await get(backend, "f", 0, info.size, info.version)


async def test_a_listing_that_goes_on_and_does_not_say_where_is_an_error(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await s3.put("tenant/d/f", SMALL)
    cut = b"<ListBucketResult><Name>b</Name><IsTruncated>true</IsTruncated></ListBucketResult>"
    proxy.on("ListObjectsV2", do=Foreign(cut))
    with pytest.raises(StorageFailure):
        await names(backend, "d")


async def test_an_abort_that_nobody_confirms_is_done_later(
    open_backend: Opener, s3: S3, proxy: FaultProxy, page: Foreign, tmp_path: Path
) -> None:
    backend = await open_backend(tmp_path, attempts=2, janitor_min_age=timedelta(0))
    upload = await begin(backend, "f")
    await backend.write_chunk(upload, LARGE[:PART], ALICE)
    proxy.on("AbortMultipartUpload", do=page)
    await backend.abort_write(upload, ALICE)
    assert len(journal_files(tmp_path)) == len(await s3.multipart_uploads()) == 1
    proxy.clear()
    assert await backend.janitor.sweep() == 1
    assert await s3.multipart_uploads() == []


async def test_a_claim_is_not_settled_by_a_list_that_is_none(
    open_backend: Opener, s3: S3, proxy: FaultProxy, page: Foreign, tmp_path: Path
) -> None:
    backend = await open_backend(tmp_path, attempts=2, janitor_min_age=timedelta(0))
    await backend.janitor.stop()  # its own first sweep might come before the page does
    backend.journal.abandon(await backend.journal.claim("tenant/f"))
    await s3.client.create_multipart_upload(Bucket=s3.bucket, Key="tenant/f")
    proxy.on("ListMultipartUploads", do=page)
    await backend.janitor.sweep()
    assert len(journal_files(tmp_path)) == 1


@pytest.mark.parametrize("told", ["by GET", "by LIST", "by nobody"])
async def test_a_size_that_the_answer_lacks_is_unknown_and_not_zero(
    backend: S3Backend, s3: S3, proxy: FaultProxy, told: str
) -> None:
    """The answer to a GET has it, or the listing; where all are silent there is an error."""
    await s3.put("tenant/f", SMALL)
    etag = (await s3.head("tenant/f"))["ETag"]
    chunked = (("ETag", etag), ("Transfer-Encoding", "chunked"))
    proxy.on("HeadObject", do=Foreign(headers=chunked))
    unsaid = (("ETag", etag), ("Content-Range", "bytes 0-0/*"))
    if told != "by GET":
        proxy.on("GetObject", do=Foreign(b"s", status=206, headers=unsaid))
    if told != "by nobody":
        assert (await backend.file_info(place("f"), ALICE)).size == len(SMALL)
        return
    empty = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    proxy.on("ListObjectsV2", do=Foreign(empty))
    with pytest.raises(StorageFailure):
        await backend.file_info(place("f"), ALICE)
    with pytest.raises(StorageFailure):
        await backend.open_file(place("f"), 100, ALICE)


async def test_a_page_at_the_opening_of_a_file_is_an_error(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    proxy.on("GetObject", do=PAGES["html"])
    with pytest.raises(StorageFailure):
        await backend.open_file(place("f"), 100, ALICE)
    proxy.clear()
    with pytest.raises(NotFound):
        await backend.open_file(place("f"), 100, ALICE)
