"""Downloads on connections of our own, from stores that do what no store should."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ResponseStreamingError
from pydantic import SecretStr

from s3sftp.backends.s3 import S3Backend, S3Options, botocore_client
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.error_advice import advice_for
from s3sftp.backends.s3.http.response_body import read_all, response_body
from s3sftp.errors import Busy, Changed, NotFound, PermissionDenied, StorageError, StorageFailure
from s3sftp.telemetry import Costs, charging
from tests.backends.s3.conftest import ALICE, place
from tests.backends.s3.upload_driver import data_of, get
from tests.support.raw_store import RawStore, Wire, error, head_of, sends

DATA = data_of(300_000, seed=3)
TAG = '"v"'
Reads = Callable[..., Awaitable[S3Backend]]


def options(store: RawStore, **changes: Any) -> S3Options:
    defaults: dict[str, Any] = {
        "bucket": "bucket",
        "endpoint_url": store.url(),
        "region": "us-east-1",
        "addressing": "path",
        "access_key_id": SecretStr("A"),
        "secret_access_key": SecretStr("S"),
        "attempts": 1,
        "metadata_timeout": timedelta(seconds=10),
        "data_timeout": timedelta(seconds=10),
        "stall_timeout": timedelta(seconds=5),
    }
    return S3Options(**(defaults | changes))


@asynccontextmanager
async def opened(raw: RawStore, **changes: Any) -> AsyncIterator[S3Client]:
    """A started Store on a played one."""
    store = S3Client(options(raw, **changes))
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


@pytest.fixture
async def reads_from() -> AsyncIterator[Reads]:
    """Opens backends on stores that tests play."""
    async with AsyncExitStack() as life:

        async def opener(store: RawStore, **changes: Any) -> S3Backend:
            backend = S3Backend(options(store, **changes), None)
            life.push_async_callback(backend.stop)
            await backend.start()
            return backend

        yield opener


@pytest.fixture(params=[True, False], ids=["direct", "relayed"])
def direct_requests(request: pytest.FixtureRequest) -> bool:
    """What must be true of both ways."""
    return bool(request.param)


def ranged(data: bytes, *more: str, start: int = 0, length: int | None = None) -> bytes:
    """The head of an answer with these bytes of DATA."""
    stop = start + len(data)
    return head_of(
        "206 Partial Content",
        f"ETag: {TAG}",
        f"Content-Range: bytes {start}-{stop - 1}/{len(DATA)}",
        f"Content-Length: {len(data) if length is None else length}",
        *more,
    )


def whole(data: bytes = DATA, *more: str) -> bytes:
    return ranged(data, *more) + data


async def read(backend: S3Backend, size: int = len(DATA), start: int = 0) -> bytes:
    return await get(backend, "f", start, size, TAG)


async def test_connections_serve_one_request_after_the_other(reads_from: Reads) -> None:
    async with RawStore(sends(whole())) as store:
        backend = await reads_from(store)
        for _ in range(5):
            assert await read(backend) == DATA
        assert (store.connections, len(store.requests)) == (1, 5)
        await asyncio.gather(*(read(backend) for _ in range(3)))
        assert store.connections == 3


async def test_what_is_sent_is_what_botocore_signed(reads_from: Reads) -> None:
    async with RawStore(sends(whole())) as store:
        await read(await reads_from(store))
        lines = store.requests[0].rstrip().split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:])
    assert lines[0] == "GET /bucket/f HTTP/1.1"
    assert fields["host"] == f"127.0.0.1:{store.port}"
    assert fields["range"] == f"bytes=0-{len(DATA) - 1}"
    assert fields["if-match"] == TAG
    assert "signedheaders=host;if-match;range;" in fields["authorization"]
    assert fields["accept-encoding"] == "identity"
    assert "accept" not in fields  # aiohttp would say that


async def test_an_option_leaves_all_to_aiohttp(reads_from: Reads) -> None:
    async with RawStore(sends(whole())) as store:
        assert await read(await reads_from(store, direct_requests=False)) == DATA
        assert "accept: */*" in store.requests[0].lower()


@pytest.mark.parametrize("status", ["200 OK", "206 Partial Content"])
async def test_an_answer_may_come_byte_by_byte(reads_from: Reads, status: str) -> None:
    answer = whole(DATA[:40]).replace(b"206 Partial Content", status.encode())
    async with RawStore(sends(*(answer[at : at + 1] for at in range(len(answer))))) as store:
        assert await read(await reads_from(store), 40) == DATA[:40]


async def test_interim_answers_are_skipped(reads_from: Reads, direct_requests: bool) -> None:
    interim = head_of("100 Continue") + head_of("103 Early Hints", "Link: </x>")
    async with RawStore(sends(interim + whole()), sends(interim, whole())) as store:
        backend = await reads_from(store, direct_requests=direct_requests)
        assert await read(backend) == DATA
        assert await read(backend) == DATA
        assert store.connections == 1


def chunked(*pieces: bytes) -> bytes:
    coded = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return (
        head_of(
            "206 Partial Content",
            f"ETag: {TAG}",
            f"Content-Range: bytes 0-{sum(map(len, pieces)) - 1}/{len(DATA)}",
            "Transfer-Encoding: chunked",
        )
        + coded
        + b"0\r\n\r\n"
    )


async def test_a_chunked_body_is_read_and_its_connection_kept(
    reads_from: Reads, direct_requests: bool
) -> None:
    answer = chunked(DATA[:1], DATA[1:70_000], DATA[70_000:])
    async with RawStore(sends(answer), sends(answer[:50_000], answer[50_000:])) as store:
        backend = await reads_from(store, direct_requests=direct_requests)
        assert await read(backend) == DATA
        assert await read(backend) == DATA
        assert store.connections == 1


async def test_a_chunked_body_that_is_cut_is_an_error(reads_from: Reads, direct_requests: bool) -> None:
    async with RawStore(sends(chunked(DATA)[:-40], then="close")) as store:
        with pytest.raises(StorageFailure):
            await read(await reads_from(store, direct_requests=direct_requests))


BROKEN_CODING = {
    "size": b"5\r\nhello\r\nzz\r\n",
    "end of a chunk": b"5\r\nhelloo",
    "endless trailer": b"5\r\nhello\r\n0\r\n" + b"a: b\r\n" * 40_000,
    "endless extension": b"5;" + b"x" * 300_000 + b"\r\nhello\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("coded", BROKEN_CODING.values(), ids=BROKEN_CODING)
async def test_a_chunked_body_that_makes_no_sense_ends_its_reader_and_its_connection(
    reads_from: Reads, direct_requests: bool, coded: bytes
) -> None:
    head = chunked(DATA).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    async def play(wire: Wire) -> None:
        await wire.send(head)
        await asyncio.sleep(0.05)  # until somebody waits for the body
        await wire.send(coded)
        await wire.closed_by_peer()

    async with RawStore(play, sends(whole())) as store:
        backend = await reads_from(store, max_connections=1, direct_requests=direct_requests)
        with pytest.raises(StorageFailure):
            async with asyncio.timeout(4):
                await read(backend)
        await store.until_open(0)
        assert await read(backend) == DATA


async def test_a_body_without_a_length_whose_connection_is_reset_is_not_complete(
    reads_from: Reads, direct_requests: bool
) -> None:
    answer = whole().replace(f"Content-Length: {len(DATA)}\r\n".encode(), b"")

    async def play(wire: Wire) -> None:
        await wire.send(answer[:-1])
        await asyncio.sleep(0.1)  # a reset discards what has not been read
        wire.reset_by_kernel()

    async with RawStore(play) as raw, opened(raw, direct_requests=direct_requests) as store:
        answered = await store.call("GetObject", Key="k")
        with pytest.raises(ResponseStreamingError):
            await read_all(response_body(answered), 1 << 20, 5)


async def test_a_body_that_arrives_while_the_backend_stops_ends_with_an_error(
    reads_from: Reads, direct_requests: bool
) -> None:
    async def half(wire: Wire) -> None:
        await wire.send(ranged(DATA) + DATA[:1000])
        await wire.closed_by_peer()

    async with RawStore(half) as raw:
        async with opened(raw, direct_requests=direct_requests) as store:
            body = response_body(await store.call("GetObject", Key="k"))
            reading = asyncio.create_task(read_all(body, 1 << 20, 5))
            await asyncio.sleep(0.05)
        with pytest.raises(ResponseStreamingError):
            async with asyncio.timeout(4):
                await reading


async def test_a_body_may_end_with_the_connection(reads_from: Reads, direct_requests: bool) -> None:
    answer = whole().replace(f"Content-Length: {len(DATA)}\r\n".encode(), b"")
    async with RawStore(sends(answer, then="close")) as store:
        backend = await reads_from(store, direct_requests=direct_requests)
        assert await read(backend) == DATA
        assert await read(backend) == DATA
        assert store.connections == 2


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_body_shorter_than_announced_is_continued(
    reads_from: Reads, direct_requests: bool, end: str
) -> None:
    rest = DATA[200_000:]
    async with RawStore(
        sends(ranged(DATA) + DATA[:200_000], b"", then=end), sends(ranged(rest, start=200_000) + rest)
    ) as store:
        backend = await reads_from(store, attempts=2, direct_requests=direct_requests)
        with charging(Costs()) as costs:
            assert await read(backend) == DATA
        assert store.connections == 2
        assert costs.retries == 1
        assert f"range: bytes=200000-{len(DATA) - 1}" in store.requests[1].lower()


async def test_a_store_that_closes_an_idle_connection_as_it_is_used_again_is_asked_again(
    reads_from: Reads,
) -> None:
    async with RawStore(sends(whole()), sends(then="close"), sends(whole())) as store:
        backend = await reads_from(store)
        assert await read(backend) == DATA
        with charging(Costs()) as costs:
            assert await read(backend) == DATA
        assert (store.connections, len(store.requests), costs.retries) == (2, 3, 0)


async def test_a_store_that_has_closed_all_idle_connections_is_asked_on_a_new_one(reads_from: Reads) -> None:
    closes = sends(then="close")
    async with RawStore(*[sends(whole())] * 3, *[closes] * 3, sends(whole())) as store:
        backend = await reads_from(store)
        await asyncio.gather(*(read(backend) for _ in range(3)))
        assert store.connections == 3
        assert await read(backend) == DATA
        assert (store.connections, len(store.requests)) == (4, 7)


async def test_an_idle_connection_that_was_closed_is_not_used(reads_from: Reads) -> None:
    async with RawStore(sends(whole(), then="close"), sends(whole())) as store:
        backend = await reads_from(store)
        assert await read(backend) == DATA
        await store.until_open(0)
        assert await read(backend) == DATA
        assert len(store.requests) == 2


async def test_a_request_is_not_repeated_by_itself_when_it_was_the_first_or_an_answer_began(
    reads_from: Reads,
) -> None:
    broken = sends(b"HTTP/1.1 206 Par", then="reset")
    async with RawStore(sends(then="close"), sends(whole()), broken, sends(whole())) as store:
        backend = await reads_from(store)
        with pytest.raises(StorageFailure):
            await read(backend)
        assert await read(backend) == DATA
        with pytest.raises(StorageFailure):
            await read(backend)
        assert len(store.requests) == 3
        assert await read(backend) == DATA


FAKE = (
    head_of("206 Partial Content", f"ETag: {TAG}", "Content-Range: bytes 0-3/4", "Content-Length: 4")
    + b"fake"
)


@pytest.mark.parametrize("size", [4, 5_000, 17_000, len(DATA)])
@pytest.mark.parametrize("surplus", [b"x", FAKE], ids=["byte", "answer"])
async def test_a_connection_with_more_than_was_announced_is_not_used_again(
    reads_from: Reads, size: int, surplus: bytes
) -> None:
    async with RawStore(sends(whole(DATA[:size]) + surplus), sends(whole(DATA[:size]))) as store:
        backend = await reads_from(store)
        assert await read(backend, size) == DATA[:size]
        assert await read(backend, size) == DATA[:size]
        assert store.connections == 2


async def test_a_connection_that_speaks_unasked_is_closed(reads_from: Reads) -> None:
    async def speaks_later(wire: Wire) -> None:
        await wire.send(whole())
        await asyncio.sleep(0.05)
        await wire.send(FAKE)

    async with RawStore(speaks_later, sends(whole())) as store:
        backend = await reads_from(store)
        assert await read(backend) == DATA
        await store.until_open(0)
        assert await read(backend) == DATA
        assert len(store.requests) == 2


@pytest.mark.parametrize("fields", [["Connection: close"], ["Connection: x, Close"]])
async def test_a_store_that_closes_after_the_answer_is_believed(reads_from: Reads, fields: list[str]) -> None:
    async with RawStore(sends(whole(DATA, *fields))) as store:
        backend = await reads_from(store)
        assert await read(backend) == DATA
        assert await read(backend) == DATA
        assert store.connections == 2


async def test_an_answer_of_http_1_0_is_read_once(reads_from: Reads) -> None:
    async with RawStore(sends(whole().replace(b"HTTP/1.1", b"HTTP/1.0"))) as store:
        backend = await reads_from(store)
        assert await read(backend) == DATA
        assert await read(backend) == DATA
        assert store.connections == 2


MALFORMED = {
    "no http": b"SSH-2.0-x\r\n\r\n",
    "nothing but lines": b"\r\n\r\n\r\n",
    "status": b"HTTP/1.1 2x6 OK\r\n\r\n",
    "length": ranged(DATA[:4], length=-1),
    "two lengths": ranged(DATA[:4], "Content-Length: 5") + DATA[:5],
    "bare line ends": ranged(DATA[:4]).replace(b"\r\n", b"\n") + b"\r\n\r\n",
    "another coding": ranged(DATA[:4], "Transfer-Encoding: gzip") + DATA[:4],
    "folded": ranged(DATA[:4], "Good: x", "bad\x00name: y") + DATA[:4],
    "endless head": b"HTTP/1.1 206 OK\r\n" + b"x-a: " + b"a" * 70_000 + b"\r\n\r\n",
    "endless interim": head_of("100 Continue", "a: " + "b" * 1000) * 70,
}


@pytest.mark.parametrize("answer", MALFORMED.values(), ids=MALFORMED)
async def test_what_is_not_http_is_an_error(reads_from: Reads, answer: bytes) -> None:
    async with RawStore(sends(answer), sends(whole())) as store:
        backend = await reads_from(store, max_connections=1)
        with pytest.raises(StorageFailure):
            await read(backend, 4)
        assert await read(backend) == DATA
        assert store.connections == 2


ERRORS = [
    ("404 Not Found", "NoSuchKey", NotFound),
    ("403 Forbidden", "AccessDenied", PermissionDenied),
    ("412 Precondition Failed", "PreconditionFailed", Changed),
    ("416 Range Not Satisfiable", "InvalidRange", Changed),
    ("503 Slow Down", "SlowDown", Busy),
    ("500 Internal Server Error", "InternalError", StorageFailure),
]


@pytest.mark.parametrize(("status", "code", "kind"), ERRORS, ids=[code for _, code, _ in ERRORS])
async def test_errors_are_understood_as_ever(
    reads_from: Reads, direct_requests: bool, status: str, code: str, kind: type[Exception]
) -> None:
    answer = error(status, code)
    head, text = answer.split(b"\r\n\r\n")
    coded = head_of(status, "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text)
    answers = [sends(answer), sends(coded), sends(head + b"\r\n\r\n", text)]
    if code == "PreconditionFailed":  # then a HEAD asks whether only the metadata is another
        missing = sends(head_of("404 Not Found", "Content-Length: 0") + b"")
        answers = [each for one in answers for each in (one, missing)]
    async with RawStore(*answers) as store:
        backend = await reads_from(store, direct_requests=direct_requests)
        for _ in range(3):
            with pytest.raises(kind) as raised:
                await read(backend)
            assert code in str(getattr(raised.value, "detail", ""))
        assert store.connections == 1


async def test_an_error_that_never_ends_is_not_read_to_its_end(reads_from: Reads) -> None:
    async def endless(wire: Wire) -> None:
        await wire.send(head_of("500 Broken"))
        while not wire.is_closed:
            await wire.send(bytes(1 << 16))

    async with RawStore(endless) as store:
        with pytest.raises(StorageFailure):
            await read(await reads_from(store))
        await store.until_open(0)


async def test_an_answer_that_makes_no_sense_gives_its_connection_back(reads_from: Reads) -> None:
    odd = ranged(DATA, length=1 << 63) + DATA[:100]
    async with RawStore(sends(odd), sends(whole())) as store:
        backend = await reads_from(store, max_connections=1)
        with pytest.raises(StorageFailure) as raised:
            await read(backend)
        assert "no such number" in str(raised.value.detail)
        gc.collect()
        assert await read(backend) == DATA


async def test_a_body_is_received_only_as_far_as_somebody_takes_it(reads_from: Reads) -> None:
    size = 64 << 20
    wires: list[Wire] = []

    async def large(wire: Wire) -> None:
        wires.append(wire)
        await wire.send(
            ranged(bytes(1)).replace(b"0-0/", b"0-%d/" % (size - 1)).replace(b"h: 1\r", b"h: %d\r" % size)
        )
        for number in range(size >> 16):
            await wire.send(bytes([number % 251]) * (1 << 16))

    async with RawStore(large) as store:
        backend = await reads_from(store)
        pieces = backend.read_file_range(place("f"), 0, size, TAG, ALICE)
        async with aclosing(pieces):  # type: ignore[type-var]
            first = await anext(pieces)
            stopped = 0
            while wires[0].sent != stopped:  # until the store cannot send any more
                stopped = wires[0].sent
                await asyncio.sleep(0.2)
            direct = backend.client._direct
            assert direct is not None
            [opened] = direct._http._opening.values()
            [connection] = opened.result().session.connector._acquired
            assert connection._payload._size <= 3 << 18
            assert stopped < size // 2
            position = 0
            for piece in [first] + [piece async for piece in pieces]:
                assert bytes(piece) == b"".join(
                    bytes([at % 251]) * (min(position + len(piece), (at + 1) << 16) - max(position, at << 16))
                    for at in range(position >> 16, ((position + len(piece) - 1) >> 16) + 1)
                )
                position += len(piece)
        assert position == size


async def test_a_reader_that_leaves_closes_the_connection(reads_from: Reads) -> None:
    async def half(wire: Wire) -> None:
        await wire.send(ranged(DATA) + DATA[:1000])
        await wire.closed_by_peer()

    async with RawStore(half, half, sends(whole())) as store:
        backend = await reads_from(store, max_connections=1)
        async with aclosing(backend.read_file_range(place("f"), 0, len(DATA), TAG, ALICE)) as pieces:  # type: ignore[type-var]
            assert bytes(await anext(pieces)) == DATA[:1000]
        await store.until_open(0)
        reading = asyncio.create_task(read(backend))
        await store.until_asked(2)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await store.until_open(0)
        assert await read(backend) == DATA


async def test_a_store_that_never_answers_is_given_up_and_its_connection_closed(reads_from: Reads) -> None:
    async def silent(wire: Wire) -> None:
        await wire.closed_by_peer()

    async with RawStore(silent, sends(whole())) as store:
        backend = await reads_from(store, max_connections=1, data_timeout=timedelta(seconds=2))
        with pytest.raises(Exception, match="in time"):
            await read(backend)
        await store.until_open(0)
        assert await read(backend) == DATA


async def test_nobody_at_the_other_end_is_an_error_with_a_reason(reads_from: Reads) -> None:
    async with RawStore(sends(whole())) as store:
        backend = await reads_from(store)
    with pytest.raises(StorageFailure, match="cannot be reached"):
        await read(backend)


async def test_connections_that_nobody_needs_are_closed(
    reads_from: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(botocore_client, "IDLE_SECONDS", 1.5)
    async with RawStore(sends(whole())) as store:
        backend = await reads_from(store)
        await asyncio.gather(*(read(backend) for _ in range(3)))
        assert store.open == 3
        await store.until_open(0)
        assert await read(backend) == DATA


async def test_downloads_and_other_requests_share_the_connections(reads_from: Reads) -> None:
    async def half(wire: Wire) -> None:
        await wire.send(ranged(DATA) + DATA[:1000])
        await wire.closed_by_peer()

    async with RawStore(half, sends(head_of("404 Not Found", "Content-Length: 0"))) as store:
        backend = await reads_from(store, max_connections=1, metadata_timeout=timedelta(seconds=2))
        async with aclosing(backend.read_file_range(place("f"), 0, len(DATA), TAG, ALICE)) as pieces:  # type: ignore[type-var]
            await anext(pieces)
            with pytest.raises(Exception, match="in time"):
                await backend.file_info(place("g"), ALICE)
            assert len(store.requests) == 1
        with pytest.raises(NotFound):
            await backend.file_info(place("g"), ALICE)
        assert len(store.requests) > 1


def test_a_backend_may_be_started_again_on_another_event_loop() -> None:
    async def once(backend: S3Backend | None) -> S3Backend:
        async with RawStore(sends(whole())) as store:
            backend = backend or S3Backend(options(store), None)
            backend.client.options = options(store)
            await backend.start()
            assert await read(backend) == DATA
            assert await read(backend) == DATA
            assert store.connections == 1
            await backend.stop()
            return backend

    asyncio.run(once(asyncio.run(once(None))))


async def test_a_proxy_is_used_where_one_is_configured(
    reads_from: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with RawStore(sends(whole())) as store, RawStore(sends(whole())) as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url())
        assert (
            await read(await reads_from(store, endpoint_url="http://s3.test", allow_plain_http=True)) == DATA
        )
        assert proxy.requests[0].startswith("GET http://s3.test/bucket/f ")
        assert "user-agent: s3sftp/" in proxy.requests[0].lower()  # made and signed as without a proxy
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert await read(await reads_from(store)) == DATA
        assert (len(proxy.requests), len(store.requests)) == (1, 1)


@pytest.mark.parametrize("status", ["301 Moved Permanently", "307 Temporary Redirect"])
async def test_no_request_follows_an_address_that_an_answer_names(
    reads_from: Reads, direct_requests: bool, status: str
) -> None:
    """Its credentials would go there."""
    async with RawStore(sends(whole())) as other:
        region = "x-amz-bucket-region: us-east-1"
        moved = head_of(status, f"Location: {other.url()}/bucket/f", region, "Content-Length: 0")
        async with RawStore(sends(moved)) as store:
            with pytest.raises(StorageError):
                await read(await reads_from(store, direct_requests=direct_requests))
            assert len(store.requests) == (1 if direct_requests else 2)
        assert other.requests == []


@pytest.mark.parametrize("status", ["301 Moved Permanently", "307 Temporary Redirect"])
async def test_a_redirect_to_an_unknown_region_is_not_followed_without_end(
    direct_requests: bool, status: str
) -> None:
    moved = head_of(status, "Content-Length: 0")
    async with RawStore(sends(moved)) as raw, opened(raw, direct_requests=direct_requests) as store:
        with pytest.raises(StorageError) as raised:
            await store.call("HeadObject", Key="k")
        # botocore asks for the bucket's region once
        assert [request.split(" HTTP")[0] for request in raw.requests] == ["HEAD /bucket/k", "HEAD /bucket"]
    assert status[:3] in str(raised.value.detail)
    assert advice_for(raised.value) == (
        "the bucket is in another region: set s3.region" if status.startswith("301") else ""
    )


async def test_what_a_store_sets_as_a_cookie_is_not_sent(reads_from: Reads, direct_requests: bool) -> None:
    async with RawStore(sends(whole(DATA, "Set-Cookie: a=b"))) as store:
        backend = await reads_from(
            store, direct_requests=direct_requests, endpoint_url=store.url("localhost")
        )
        for _ in range(2):
            assert await read(backend) == DATA
        assert len(store.requests) == 2
        assert not any("cookie" in request.lower() for request in store.requests)
