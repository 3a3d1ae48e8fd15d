"""Stores that list in another way: by directories alone, by the older request, unsorted, or in a circle."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from s3sftp.backends.s3 import S3Backend
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.keys import KeyMapping
from s3sftp.backends.s3.namespace.listing import _Reader
from s3sftp.backends.s3.requests.list_objects_v1 import ListMarker, list_page
from s3sftp.backends.s3.requests.list_pages import ListProgress, is_listed
from s3sftp.errors import NotEmpty, NotFound, StorageFailure
from tests.backends.s3.conftest import ALICE, PART, Opener, place
from tests.backends.s3.test_listing import fill
from tests.backends.s3.upload_driver import data_of, get, names, put
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, LoseReply, Reply, Rewrite
from tests.support.logs import capture_events
from tests.support.s3_client import S3

STORES = pytest.mark.parametrize("store", ["seaweed", "moto"], indirect=True)
WAYS = pytest.mark.parametrize("direct", [True, False], ids=["direct", "relayed"])
NO_SLASH = "^prefix=.*[^/]$"
V1 = [f"tenant/d/{number:02}" for number in range(12)]


def text(change: Callable[[str], str]) -> Rewrite:
    """Another body, as a store says it that is otherwise the same."""
    return Rewrite(lambda reply: replace(reply, body=change(reply.body.decode()).encode()))


@text
def in_the_older_form(body: str) -> str:
    """What a store answers that does not look at `list-type`."""
    body = re.sub(r"<(NextContinuationToken|KeyCount)>.*?</\1>", "", body)
    return body.replace("<IsTruncated>", "<Marker></Marker><IsTruncated>")


async def work(backend: S3Backend, s3: S3) -> None:
    """What leads to each LIST that the server sends."""
    assert await names(backend, "d") == [f"{number:02}".encode() for number in range(12)]
    with pytest.raises(NotFound):
        await backend.file_info(place("nothing"), ALICE)
    await backend.make_dir(place("made"), ALICE)
    with pytest.raises(NotEmpty):
        await backend.del_dir(place("d"), ALICE)
    await backend.rename(place("d"), place("e"), ALICE, overwrite=False)
    await backend.del_dir(place("made"), ALICE)
    assert await s3.keys() == [key.replace("/d/", "/e/") for key in V1]


@STORES
@WAYS
@pytest.mark.usefixtures("small_pages")
async def test_what_does_not_know_the_newer_request_is_listed_by_the_older(
    open_backend: Opener, s3: S3, proxy: FaultProxy, direct: bool
) -> None:
    backend = await open_backend(direct_requests=direct)
    await fill(s3, *V1)
    rule = proxy.on("ListObjectsV2", do=in_the_older_form)
    with capture_events() as log:
        await work(backend, s3)
    assert rule.hits == 1
    assert proxy.log.count("ListObjects") > 8
    told = [each["feature"] for each in log if each["event"] == "s3.feature_missing"]
    assert told.count("list-v2") == 1  # of moto it is known by its name what else it lacks


@pytest.mark.parametrize("status", [400, 405, 501])
@pytest.mark.usefixtures("small_pages")
async def test_what_refuses_the_newer_request_is_listed_by_the_older(
    open_backend: Opener, s3: S3, proxy: FaultProxy, status: int
) -> None:
    backend = await open_backend()
    await fill(s3, *V1)
    rule = proxy.on("ListObjectsV2", do=Answer(status, "NotImplemented"))
    await work(backend, s3)
    assert rule.hits == 1
    assert Feature.LIST_V2 in backend.client.features.missing


@pytest.mark.usefixtures("small_pages")
async def test_what_the_operator_says_is_not_tried(open_backend: Opener, s3: S3, proxy: FaultProxy) -> None:
    backend = await open_backend(lacks=["list-v2", "any-prefix"])
    await fill(s3, *V1)
    await work(backend, s3)
    assert proxy.log.count("ListObjectsV2") == 0
    assert all(seen.query["prefix"].endswith("/") for seen in proxy.log.of("ListObjects"))


async def test_a_refusal_of_both_forms_is_that_of_the_first(backend: S3Backend, proxy: FaultProxy) -> None:
    proxy.on("ListObjectsV2", do=Answer(400, "InvalidArgument"))
    proxy.on("ListObjects", do=Answer(501, "NotImplemented"))
    with pytest.raises(StorageFailure) as caught:
        await names(backend, "d")
    assert "InvalidArgument" in str(caught.value.detail)
    assert backend.client.features.missing == ()


async def test_a_listing_that_has_begun_stays_in_its_form(backend: S3Backend) -> None:
    """What another one has found out meanwhile makes no marker of a token."""
    asked = []

    async def ask(api: str, **parameters: object) -> dict[str, object]:
        asked.append((api, parameters))
        return {"IsTruncated": False}

    backend.client.features.lacks(Feature.LIST_V2)
    await list_page(ask, backend.client.features, ContinuationToken="token")
    await list_page(ask, backend.client.features, ContinuationToken=ListMarker("last"))
    assert asked == [("ListObjectsV2", {"ContinuationToken": "token"}), ("ListObjects", {"Marker": "last"})]


@STORES
@pytest.mark.usefixtures("small_pages")
async def test_what_lists_by_directories_alone_is_asked_so(
    open_backend: Opener, s3: S3, proxy: FaultProxy
) -> None:
    backend = await open_backend()
    await fill(s3, *V1)
    rule = proxy.on("ListObjectsV2", query=NO_SLASH, do=Answer(400, "InvalidRequest"))
    await work(backend, s3)
    assert rule.hits == 1
    assert Feature.ANY_PREFIX in backend.client.features.missing


@pytest.mark.usefixtures("small_pages")
async def test_a_name_is_found_in_the_listing_of_its_directory_too(open_backend: Opener, s3: S3) -> None:
    await fill(s3, "tenant/d-1", *(f"tenant/d-2{number}" for number in range(9)), "tenant/d/x", "tenant/e")
    for lacks in ([], ["any-prefix"]):
        store = (await open_backend(lacks=lacks)).client
        names = ("tenant/d-1", "tenant/d/", "tenant/e", "tenant/d", "tenant/d-", "tenant/f/", "tenant/e/")
        assert [await is_listed(store, name) for name in names] == [True] * 3 + [False] * 4


async def test_a_page_that_does_not_say_whether_it_is_the_last_is_an_error(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await fill(s3, "tenant/d/f")
    proxy.on("ListObjectsV2", do=text(lambda body: re.sub(r"<IsTruncated>.*</IsTruncated>", "", body)))
    with pytest.raises(StorageFailure):
        await names(backend, "d")


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("told", ["the same token", "other tokens"])
async def test_a_store_that_gives_the_same_page_for_ever_is_an_error(
    backend: S3Backend, s3: S3, proxy: FaultProxy, told: str
) -> None:
    await fill(s3, *V1)
    pages: list[bytes] = []

    def again(reply: Reply) -> Reply:
        pages.append(reply.body if not pages else pages[0])
        if told == "the same token":
            return replace(reply, body=pages[0])
        token = f"{len(pages)}</NextContinuationToken>".encode()
        return replace(reply, body=pages[0].replace(b"</NextContinuationToken>", token))

    proxy.on("ListObjectsV2", do=Rewrite(again))
    with pytest.raises(StorageFailure):
        await names(backend, "d")
    assert len(pages) < 5


@pytest.mark.parametrize("length", [1, 2, 3, 10, 100])
def test_a_circle_of_any_length_is_noticed(length: int) -> None:
    progress = ListProgress()
    with pytest.raises(StorageFailure):
        for number in range(5 * length + 5):
            progress.require(str(number % length), {})


def test_a_long_listing_is_no_circle() -> None:
    progress = ListProgress()
    for number in range(10_000):
        progress.require(str(number), {"Contents": [{"Key": str(number)}]} if number % 3 else {})


def test_a_name_is_shown_once_also_where_pages_have_no_order() -> None:
    reader = _Reader(KeyMapping(""), "d/", is_sorted=False)
    line = {"Size": 1, "ETag": '"x"'}
    shown = [
        entry.name
        for page in (
            {"Contents": [{"Key": "d/z", **line}], "CommonPrefixes": [{"Prefix": "d/b/"}]},
            {"Contents": [{"Key": "d/b", **line}, {"Key": "d/a", **line}]},
            {"CommonPrefixes": [{"Prefix": "d/a/"}, {"Prefix": "d/z/"}, {"Prefix": "d/c/"}]},
        )
        for entry in reader.entries(page)
    ]
    assert sorted(shown) == [b"a", b"b", b"c", b"z"]


def test_a_directory_that_each_page_tells_of_is_shown_once_and_is_no_circle() -> None:
    reader, progress, page = (
        _Reader(KeyMapping(""), ""),
        ListProgress(),
        {"CommonPrefixes": [{"Prefix": "d/"}]},
    )
    for number in range(5):
        progress.require(str(number), page)
    assert [entry.name for _ in range(5) for entry in reader.entries(page)] == [b"d"]


async def test_content_is_read_where_listings_are_of_the_older_form(
    backend: S3Backend, proxy: FaultProxy
) -> None:
    proxy.on("ListObjectsV2", do=in_the_older_form)
    await put(backend, "d/f", b"content")
    assert await names(backend, "d") == [b"f"]
    assert await get(backend, "d/f", 0, 7) == b"content"


async def test_unfinished_uploads_are_found_by_the_directory_of_their_key_too(
    open_backend: Opener, proxy: FaultProxy, tmp_path: Path
) -> None:
    backend = await open_backend(tmp_path, attempts=1, janitor_min_age=timedelta(0))
    rule = proxy.on("ListMultipartUploads", query=NO_SLASH, do=Answer(400, "InvalidRequest"))
    for name in ("d/f", "d/g"):
        lost = proxy.on("CreateMultipartUpload", do=LoseReply(), times=1)
        with pytest.raises(StorageFailure):
            await put(backend, name, data_of(PART + 1))
        assert lost.hits == 1
    await backend.janitor.sweep()
    assert proxy.log.count("AbortMultipartUpload") == 2
    assert rule.hits == 1
