"""What others have written, and what a store says, is bounded before it is used."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from s3sftp.backends.s3 import S3Backend
from s3sftp.backends.s3.http.request_body import RequestBody
from s3sftp.errors import StorageError, StorageFailure
from tests.backends.s3.conftest import ALICE, Opener, place
from tests.backends.s3.test_fast_client_reads import opened, options
from tests.backends.s3.upload_driver import get, names
from tests.support.logs import capture_events
from tests.support.raw_store import RawStore, Wire, head_of, sends

COPIED = b'<CopyObjectResult><ETag>"w"</ETag></CopyObjectResult>'


@pytest.fixture(params=[True, False], ids=["direct", "relayed"])
def direct(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@asynccontextmanager
async def backend_of(raw: RawStore, **changes: Any) -> AsyncIterator[S3Backend]:
    backend = S3Backend(options(raw, journal="off", **changes), None)
    await backend.start()
    try:
        yield backend
    finally:
        await backend.stop()


def object_with(*fields: bytes, body: bytes = b"") -> bytes:
    """The answer to HEAD or GET of an object with these fields."""
    usual = [b"HTTP/1.1 200 OK", b"Content-Length: 5", b'ETag: "v"', b"x-amz-request-id: r"]
    given = {field.partition(b":")[0].lower() for field in fields}
    kept = [line for line in usual if line.partition(b":")[0].lower() not in given]
    return b"\r\n".join((*kept, *fields, b"", b"")) + body


OWNERS = {
    "utf-8": "Jörg".encode(),
    "latin-1": b"J\xf6rg",
    "half": b"a\xc3",
    "no-break space": b"a\xc2\xa0\xc2\xa0b",
}


@pytest.mark.parametrize("owner", OWNERS)
async def test_metadata_of_any_bytes_is_read_alike(owner: str, direct: bool) -> None:
    said = object_with(b"x-amz-meta-owner: " + OWNERS[owner], b"x-amz-meta-mtime: 1000")
    async with RawStore(sends(said)) as raw, backend_of(raw, direct_requests=direct) as backend:
        info = await backend.file_info(place("f"), ALICE)
        assert (info.size, info.mtime) == (5, 1000)
        head = await backend.client.call("HeadObject", Key="f")
        assert head["Metadata"]["owner"].encode("utf-8", "surrogateescape") == OWNERS[owner]


@pytest.mark.parametrize("owner", OWNERS)
async def test_metadata_of_any_bytes_survives_a_late_time(owner: str) -> None:
    said = object_with(b"x-amz-meta-owner: " + OWNERS[owner])

    async def store(wire: Wire) -> None:
        is_copy = wire.request.startswith("PUT")
        await wire.send(head_of("200 OK", f"Content-Length: {len(COPIED)}") + COPIED if is_copy else said)

    async with RawStore(store) as raw, backend_of(raw) as backend:
        assert await backend.set_mtime(place("f"), 2000, ALICE)
    [copy] = [line for line in raw.requests if "x-amz-meta-owner" in line]
    sent = copy.encode("utf-8", "surrogateescape")
    assert b"x-amz-meta-owner: " + OWNERS[owner] + b"\r\n" in sent
    assert b"x-amz-meta-mtime: 2000\r\n" in sent


async def test_a_late_time_is_given_up_where_botocore_cannot_send_the_metadata() -> None:
    said = object_with(b"x-amz-meta-owner: J\xf6rg")
    async with RawStore(sends(said)) as raw, backend_of(raw, direct_requests=False) as backend:
        with capture_events() as lines:
            assert not await backend.set_mtime(place("f"), 2000, ALICE)
        (given_up,) = (line for line in lines if line["event"] == "s3.mtime_not_set")
        assert "ASCII" in given_up["detail"]
        assert (await backend.file_info(place("f"), ALICE)).size == 5


FIELDS: dict[str, tuple[bytes, ...]] = {
    "no date": (b"Last-Modified: yesterday",),
    "a date of no calendar": (b"Last-Modified: Wed, 45 Foo 99999 77:88:99 GMT",),
    "never": (b"Expires: 0",),
    "an endless year": (b"Last-Modified: " + b"9" * 400,),
    "ETag of 4 KiB": (b'ETag: "' + b"v" * 4096 + b'"',),
    "ETag of bytes": (b'ETag: "\xff\xfe"',),
    "a long name of a class": (b"x-amz-storage-class: " + b"X" * 4000,),
    "5000 digits of parts": (b"x-amz-mp-parts-count: " + b"9" * 5000,),
}


@pytest.mark.parametrize("what", FIELDS)
async def test_a_field_that_makes_no_sense_is_left_out(what: str, direct: bool) -> None:
    async with RawStore(sends(object_with(*FIELDS[what]))) as raw:
        async with backend_of(raw, direct_requests=direct) as backend:
            info = await backend.file_info(place("f"), ALICE)
            assert info.size == 5
            if "ETag" in what:
                assert not info.version


HEADS: dict[str, tuple[bytes, ...]] = {
    "a length of 400 digits": (b"Content-Length: " + b"9" * 400,),
    "a length of 5000 digits": (b"Content-Length: " + b"9" * 5000,),
    "a length beyond all files": (b"Content-Length: 9223372036854775808",),
    "a negative length": (b"Content-Length: -1",),
    "a word for a length": (b"Content-Length: five",),
    "5000 fields": tuple(b"x-amz-meta-%d: x" % number for number in range(5000)),
    "a field of 1 MB": (b"x-amz-meta-a: " + b"x" * 1_000_000,),
}


@pytest.mark.parametrize("what", HEADS)
async def test_a_head_that_cannot_be_is_a_told_failure(what: str, direct: bool) -> None:
    async with RawStore(sends(object_with(*HEADS[what]), then="close")) as raw:
        async with backend_of(raw, direct_requests=direct) as backend:
            with pytest.raises(StorageFailure):
                await backend.file_info(place("f"), ALICE)
            with pytest.raises(StorageError):
                await get(backend, "f", 0, 5)


def page(*lines: str) -> bytes:
    text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(lines)}</ListBucketResult>".encode()
    return head_of("200 OK", "x-amz-request-id: r", f"Content-Length: {len(text)}") + text


def line(key: str = "good", size: str = "5", moment: str = "2026-01-01T00:00:00Z", etag: str = '"v"') -> str:
    return (
        f"<Contents><Key>{key}</Key><Size>{size}</Size><LastModified>{moment}</LastModified>"
        f"<ETag>{etag}</ETag></Contents>"
    )


@pytest.mark.parametrize("moment", ["yesterday", "0", "9" * 400, "2026-13-45T99:00:00Z", ""])
async def test_a_line_without_a_time_is_listed_with_the_others(moment: str, direct: bool) -> None:
    said = page(line("bad", moment=moment), line())
    async with RawStore(sends(said)) as raw, opened(raw, direct_requests=direct) as store:
        answer = await store.call("ListObjectsV2", Prefix="")
    assert ["LastModified" in each for each in answer["Contents"]] == [False, True]


@pytest.mark.parametrize("etag", ["v" * 10_000, "ü", "a&#10;b"])
async def test_a_line_with_a_strange_etag_has_none(etag: str, direct: bool) -> None:
    async with RawStore(sends(page(line(etag=etag)))) as raw, opened(raw, direct_requests=direct) as store:
        [listed] = (await store.call("ListObjectsV2", Prefix=""))["Contents"]
    assert "ETag" not in listed


PAGES = {
    "a size of 400 digits": page(line(size="9" * 400)),
    "a size beyond all files": page(line(size="9223372036854775808")),
    "a negative size": page(line(size="-5")),
    "a word for a size": page(line(size="five")),
    "control characters": page(line(key="a\x01b")),
    "no XML": page("<Contents>"),
    "text without end": page("<Name>" + "x" * (17 << 20) + "</Name>"),
}


@pytest.mark.parametrize("what", PAGES)
async def test_a_page_that_cannot_be_is_a_told_failure(what: str, direct: bool) -> None:
    async with RawStore(sends(PAGES[what])) as raw, backend_of(raw, direct_requests=direct) as backend:
        with pytest.raises(StorageFailure):
            await names(backend, "")


@pytest.mark.parametrize("store", ["seaweed", "moto"], indirect=True)
async def test_a_store_keeps_metadata_of_raw_utf_8_through_a_late_time(open_backend: Opener) -> None:
    backend = await open_backend()
    await backend.client.call("PutObject", Key="tenant/f", Body=RequestBody(b"x"), Metadata={"owner": "Jörg"})
    assert await backend.set_mtime(place("f"), 2000, ALICE)
    kept = (await backend.client.call("HeadObject", Key="tenant/f"))["Metadata"]
    assert (kept["owner"], kept["mtime"]) == ("Jörg", "2000")
