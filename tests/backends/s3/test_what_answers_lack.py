"""A number that an answer lacks is not 0, and a body of which nobody says what it is, is not the file's."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from s3sftp.backends.s3 import S3Backend
from s3sftp.errors import Changed, PermissionDenied, StorageError, StorageFailure
from tests.backends.s3.conftest import ALICE, PART, Opener, place
from tests.backends.s3.test_listing import fill
from tests.backends.s3.test_opening import opened, whole
from tests.backends.s3.upload_driver import data_of, get, put
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, LoseReply, Meanwhile, Reply, Rewrite
from tests.support.s3_client import S3

CONTENT = data_of(3 << 20, seed=3)


@pytest.fixture(params=[True, False], ids=["direct", "relayed"])
async def backend(request: pytest.FixtureRequest, open_backend: Opener) -> S3Backend:
    return await open_backend(direct_requests=request.param, attempts=2, cache_ttl=timedelta(0))


def without(*fields: str, **others: str) -> Rewrite:
    """Without these fields of the head; with others."""

    def change(reply: Reply) -> Reply:
        headers = {name: value for name, value in reply.headers.items() if name not in fields}
        return replace(reply, headers=headers | {n.replace("_", "-"): text for n, text in others.items()})

    return Rewrite(change)


def unlisted(*elements: str) -> Rewrite:
    """Lines of a listing without these elements."""
    pattern = re.compile(rf"<({'|'.join(elements)})>[^<]*</\1>".encode())
    return Rewrite(lambda reply: replace(reply, body=pattern.sub(b"", reply.body)))


def status(number: int, *fields: str) -> Rewrite:
    taken = without(*fields)
    return Rewrite(lambda reply: replace(taken.change(reply), status=number))


async def everything_that_is_read(backend: S3Backend) -> list[bytes]:
    """All of a file by the ways in which clients read it, and a range in its middle."""
    info = await backend.file_info(place("f"), ALICE)
    assert info.size == len(CONTENT)
    reader = await opened(backend, "f")
    return [
        await whole(reader, 1 << 20),
        await backend.read_file(place("f"), ALICE),
        await get(backend, "f", 1000, 2 << 20, info.version),
    ]


def ignoring_the_range(reply: Reply) -> Reply:
    """All of it with status 200, as GCS sends what it unpacks, and proxies that know no ranges."""
    headers = {name: value for name, value in reply.headers.items() if name != "content-range"}
    return Reply(200, headers, CONTENT)


def chunked(reply: Reply) -> Reply:
    whole = ignoring_the_range(reply)
    del whole.headers["content-length"]
    return replace(whole, headers=whole.headers | {"transfer-encoding": "chunked"})


GETS: dict[str, Callable[[Reply], Reply]] = {
    "no Content-Range": without("content-range").change,
    "200 and all of it": ignoring_the_range,
    "200 and all of it, of no length": chunked,
    "200 without Content-Range": status(200, "content-range").change,
    "another length": without(content_range=f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}").change,
}


@pytest.mark.parametrize("head", ["told", "chunked"])
@pytest.mark.parametrize("answer", GETS)
async def test_whatever_a_get_does_not_say_the_bytes_are_the_files_or_there_is_an_error(
    backend: S3Backend, s3: S3, proxy: FaultProxy, answer: str, head: str
) -> None:
    await s3.put("tenant/f", CONTENT)
    expected = [CONTENT, CONTENT, CONTENT[1000 : 2 << 20]]
    assert await everything_that_is_read(backend) == expected
    proxy.on("GetObject", do=Rewrite(GETS[answer]))
    if head == "chunked":
        proxy.on("HeadObject", do=without("content-length", transfer_encoding="chunked"))
    assert (await backend.file_info(place("f"), ALICE)).size == len(CONTENT)
    reads: list[Callable[[], Awaitable[bytes]]] = [
        lambda: _opened_and_read(backend),
        lambda: backend.read_file(place("f"), ALICE),
        lambda: get(backend, "f", 1000, 2 << 20, None),
    ]
    for read, content in zip(reads, expected, strict=True):
        with suppress(StorageError):
            assert await read() == content


async def _opened_and_read(backend: S3Backend) -> bytes:
    return await whole(await opened(backend, "f"), 1 << 20)


async def test_a_head_without_a_length_is_measured_by_a_get(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await s3.put("tenant/f", CONTENT)
    await s3.put("tenant/empty", b"")
    proxy.on("HeadObject", do=without("content-length"))
    assert await everything_that_is_read(backend) == [CONTENT, CONTENT, CONTENT[1000 : 2 << 20]]
    assert (await backend.file_info(place("empty"), ALICE)).size == 0


async def test_a_line_of_a_listing_without_a_size_is_looked_up(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await s3.put("tenant/d/f", CONTENT)
    await s3.put("tenant/d/sub/g", CONTENT)
    proxy.on("ListObjectsV2", do=unlisted("Size"))
    [page] = [page async for page in backend.list_dir(place("d"), ALICE)]
    assert {entry.name: entry.info.size for entry in page if not entry.info.is_dir} == {b"f": len(CONTENT)}
    await backend.rename(place("d"), place("e"), ALICE, overwrite=False)
    assert await s3.body("tenant/e/f") == await s3.body("tenant/e/sub/g") == CONTENT


async def test_a_refused_file_whose_size_no_listing_tells_is_refused(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    """LIST says that it is there, and no more is asked."""
    await s3.put("tenant/f", CONTENT)
    proxy.on("ListObjectsV2", do=unlisted("Size"))
    proxy.on("HeadObject", do=Answer(403, "AccessDenied"))
    with pytest.raises(PermissionDenied):
        await backend.file_info(place("f"), ALICE)
    assert proxy.log.by_api() == {"HeadObject": 1, "ListObjectsV2": 1}


async def test_a_line_of_a_listing_whose_size_nobody_tells_is_an_error(
    backend: S3Backend, s3: S3, proxy: FaultProxy
) -> None:
    await s3.put("tenant/d/f", CONTENT)
    proxy.on("ListObjectsV2", do=unlisted("Size"))
    proxy.on("HeadObject", do=without("content-length"))
    with pytest.raises(StorageFailure):
        [page async for page in backend.list_dir(place("d"), ALICE)]


@pytest.mark.parametrize("lacking", [("ETag",), ("LastModified",), ("ETag", "LastModified")], ids="+".join)
async def test_a_tree_is_moved_although_its_listing_tells_little(
    backend: S3Backend, s3: S3, proxy: FaultProxy, lacking: tuple[str, ...]
) -> None:
    await fill(s3, "tenant/d/", "tenant/d/f", "tenant/d/sub/g")
    proxy.on("ListObjectsV2", do=unlisted(*lacking))
    await backend.rename(place("d"), place("e"), ALICE, overwrite=False)
    assert await s3.keys() == ["tenant/e/", "tenant/e/f", "tenant/e/sub/g"]


@pytest.mark.parametrize("lacking", ["ETag", "ETag and LastModified"])
async def test_what_was_replaced_while_its_tree_was_copied_is_not_removed_without_etags_either(
    backend: S3Backend, s3: S3, proxy: FaultProxy, lacking: str
) -> None:
    """By its size and time then. Where nothing tells, it stays."""
    await fill(s3, "tenant/d/f", "tenant/d/g")
    elements = lacking.split(" and ")
    fields = [{"ETag": "etag", "LastModified": "last-modified"}[each] for each in elements]
    proxy.on("ListObjectsV2", do=unlisted(*elements))
    proxy.on("HeadObject", do=without(*fields, x_amz_request_id="1"))
    proxy.on("CopyObject", do=Meanwhile(lambda: s3.put("tenant/d/f", b"replaced")), times=1)
    with pytest.raises(Changed):
        await backend.rename(place("d"), place("e"), ALICE, overwrite=False)
    proxy.clear()
    assert await s3.body("tenant/d/f") == b"replaced"
    assert await s3.exists("tenant/d/g") == (lacking != "ETag")


async def test_a_file_with_a_weak_etag_is_read(backend: S3Backend, s3: S3, proxy: FaultProxy) -> None:
    """A proxy makes it weak, and no weak one fulfils If-Match."""
    await s3.put("tenant/f", CONTENT)

    def weaken(reply: Reply) -> Reply:
        return replace(reply, headers=reply.headers | {"etag": f"W/{reply.headers['etag']}"})

    proxy.on("HeadObject", "GetObject", do=Rewrite(weaken))
    assert await everything_that_is_read(backend) == [CONTENT, CONTENT, CONTENT[1000 : 2 << 20]]
    info = await backend.file_info(place("f"), ALICE)
    await s3.put("tenant/f", CONTENT[::-1])
    with pytest.raises(Changed):
        await get(backend, "f", 0, 10, info.version)


@pytest.mark.parametrize("api", ["CopyObject", "UploadPartCopy", "CompleteMultipartUpload"])
async def test_a_copy_without_an_etag_is_none_before_it_is_looked_at(
    open_backend: Opener, s3: S3, proxy: FaultProxy, api: str
) -> None:
    size = 100 if api == "CopyObject" else PART + 1
    backend = await open_backend(copy_part_bytes=PART, attempts=2)
    await s3.put("tenant/f", CONTENT[:100] if size == 100 else data_of(size))
    proxy.on(api, do=unlisted("ETag"))
    try:
        await backend.rename(place("f"), place("g"), ALICE, overwrite=False)
    except StorageError:
        assert await s3.keys() == ["tenant/f"]
    else:
        assert await s3.keys() == ["tenant/g"]
        assert len(await s3.body("tenant/g")) == size


async def test_a_lease_whose_time_is_not_told_is_nobodys_death(
    open_backend: Opener, s3: S3, proxy: FaultProxy, tmp_path: Path
) -> None:
    """What seems not to change is taken for what a crash has left, and aborted."""
    backend = await open_backend(tmp_path, journal="bucket", janitor_min_age=timedelta(0))
    await s3.put("tenant/.s3sftp/uploads/x/y.json", b"{}")
    proxy.on("ListObjectsV2", do=unlisted("LastModified"))
    proxy.on("HeadObject", do=without("last-modified"))
    assert await backend.janitor.sweep() == 0
    assert await s3.keys("tenant/.s3sftp/uploads/x/") == ["tenant/.s3sftp/uploads/x/y.json"]


async def test_uploads_whose_listing_repeats_itself_are_left_alone(
    open_backend: Opener, s3: S3, proxy: FaultProxy, tmp_path: Path
) -> None:
    backend = await open_backend(tmp_path, attempts=1, janitor_min_age=timedelta(0))
    proxy.on("CreateMultipartUpload", do=LoseReply(), times=1)
    with pytest.raises(StorageError):
        await put(backend, "f", data_of(PART + 1))
    marked = b"<IsTruncated>true</IsTruncated><NextKeyMarker>f</NextKeyMarker>"
    proxy.on(
        "ListMultipartUploads",
        do=Rewrite(
            lambda reply: replace(reply, body=re.sub(b"<IsTruncated>.*?</IsTruncated>", marked, reply.body))
        ),
    )
    await backend.janitor.sweep()
    assert proxy.log.count("AbortMultipartUpload") == 0
    proxy.clear()
    assert await backend.janitor.sweep() == 1


@pytest.mark.parametrize("said", ["", "never"])
async def test_a_time_that_is_none_fails_no_listing(
    open_backend: Opener, s3: S3, proxy: FaultProxy, said: str
) -> None:
    backend = await open_backend()
    await s3.put("tenant/d/f", CONTENT)
    pattern, other = re.compile(b"(<LastModified>)[^<]*"), rf"\1{said}".encode()
    proxy.on("ListObjectsV2", do=Rewrite(lambda reply: replace(reply, body=pattern.sub(other, reply.body))))
    [page] = [page async for page in backend.list_dir(place("d"), ALICE)]
    assert [(entry.name, entry.info.size) for entry in page] == [(b"f", len(CONTENT))]
