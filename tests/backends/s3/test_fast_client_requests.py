"""The requests that we make and sign ourselves are those that botocore would have made and signed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import botocore.session
import pytest
from aiobotocore.httpsession import AIOHTTPSession
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.errors import outcome_is_unknown
from s3sftp.backends.s3.http.aiohttp_session import Route
from s3sftp.backends.s3.http.fast_client import OPERATIONS, _Site
from s3sftp.backends.s3.http.request_body import RequestBody
from s3sftp.backends.s3.http.serializer import OperationSerializer
from s3sftp.backends.s3.http.signing import UNSIGNED, Signer
from s3sftp.backends.s3.retry_policy import RequestKind
from s3sftp.errors import Busy, InvalidRequest, NotFound, PermissionDenied, StorageError, StorageFailure
from s3sftp.telemetry import Costs, charging
from tests.backends.s3.test_fast_client_reads import opened
from tests.support.raw_store import RawStore, Wire, error, head_of, sends

_botocore: Any = botocore.session.Session()
_botocore.set_credentials("AKIDEXAMPLE", "SECRET", "TOKEN")
_model = _botocore.get_service_model("s3")

KEYS = ["k", "a b/ü+%#?&=*'()~-._", "\\", "", "tail/", "日本", "a//b"]
EXAMPLES: list[tuple[str, dict[str, Any]]] = [
    ("HeadObject", {}),
    ("GetObject", {"Range": "bytes=0-9", "IfMatch": '"v"'}),
    ("DeleteObject", {}),
    ("DeleteObject", {"IfMatch": '"v"'}),
    (
        "PutObject",
        {
            "Body": RequestBody(b"data"),
            "ChecksumCRC32": "AAAAAA==",
            "Metadata": {"mtime": "1.5", "s3sftp-upload": "x  y"},
            "Tagging": "a=b&c=d",
            "ServerSideEncryption": "aws:kms",
            "SSEKMSKeyId": "key",
            "BucketKeyEnabled": True,
            "StorageClass": "STANDARD_IA",
            "ACL": "private",
            "IfNoneMatch": "*",
            "ContentMD5": "AAAA",
        },
    ),
    (
        "UploadPart",
        {"Body": RequestBody(b"data"), "UploadId": "u/+=&", "PartNumber": 7, "ChecksumSHA256": "x"},
    ),
    (
        "CopyObject",
        {
            "CopySource": {"Bucket": "bucket", "Key": "a b/ü+?"},
            "MetadataDirective": "REPLACE",
            "TaggingDirective": "COPY",
            "Metadata": {"mtime": "1"},
            "CopySourceIfMatch": '"v"',
            "ContentType": "text/plain",
            "Expires": datetime(2026, 11, 25, 1, 2, 3, tzinfo=UTC),
        },
    ),
]


LISTINGS: list[dict[str, Any]] = [
    {"Prefix": "a b/ü+%/", "Delimiter": "/"},
    {"Prefix": "", "MaxKeys": 1, "ContinuationToken": "t/+="},
]


def prepared_by_botocore(api: str, parameters: dict[str, Any]) -> Any:
    """What botocore would send."""
    made: list[Any] = []

    def keep(request: Any, **_: Any) -> Any:
        made.append(request)
        raise InterruptedError

    client = _botocore.create_client(
        "s3",
        region_name="eu-central-1",
        endpoint_url="https://s3.test",
        config=Config(
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    client.meta.events.register("before-send.s3", keep)
    with pytest.raises(InterruptedError):
        getattr(client, botocore.xform_name(api))(Bucket="bucket", **parameters)
    client.close()
    return made[0]


def lowered(headers: Any) -> dict[str, str]:
    return {
        name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in headers.items()
    }


@pytest.mark.parametrize("key", [key for key in KEYS if key])
@pytest.mark.parametrize(("api", "more"), EXAMPLES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_form_says_what_botocore_would_send(api: str, more: dict[str, Any], key: str) -> None:
    theirs = prepared_by_botocore(api, {"Key": key, **more})
    ours = OperationSerializer(_model.operation_model(api)).form({"Bucket": "bucket", "Key": key, **more})
    assert ours is not None
    url = urlsplit(theirs.url)
    assert ours.method == theirs.method
    assert f"/bucket/{ours.key}" == url.path
    assert sorted(parse_qsl(ours.query)) == sorted(parse_qsl(url.query))
    said = lowered(theirs.headers)
    added = {
        *("user-agent", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "authorization"),
        *("amz-sdk-invocation-id", "amz-sdk-request", "content-length", "expect"),
        *("x-amz-sdk-checksum-algorithm",),
    }
    assert ours.headers == {name: value for name, value in said.items() if name not in added}
    assert ours.body == memoryview(b"data" if "Body" in more else b"")


@pytest.mark.parametrize("parameters", LISTINGS)
def test_a_listing_is_asked_for_as_botocore_asks(parameters: dict[str, Any]) -> None:
    theirs = prepared_by_botocore("ListObjectsV2", parameters)
    ours = OperationSerializer(_model.operation_model("ListObjectsV2")).form(
        parameters | {"EncodingType": "url"}
    )
    assert ours is not None
    assert (ours.method, ours.key) == ("GET", "")
    url = urlsplit(theirs.url)
    assert dict(parse_qsl(ours.query, keep_blank_values=True)) == dict(
        parse_qsl(url.query, keep_blank_values=True)
    )
    assert ours.query == "&".join(sorted(ours.query.split("&")))


@given(
    path=st.lists(st.sampled_from(["a", "%20", "%C3%BC", "~", "-._"]), min_size=1).map("/".join),
    query=st.dictionaries(
        st.sampled_from(["partNumber", "uploadId", "versionId"]), st.sampled_from(["1", "a%2Fb", ""])
    ),
    headers=st.dictionaries(
        st.sampled_from(["range", "if-match", "x-amz-meta-mtime", "content-md5"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1),
    ),
    token=st.sampled_from([None, "TOKEN"]),
    moment=st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)),
)
def test_a_signature_is_the_one_that_botocore_makes(
    path: str, query: dict[str, str], headers: dict[str, str], token: str | None, moment: datetime
) -> None:
    credentials = SimpleNamespace(access_key="AKIDEXAMPLE", secret_key="SECRET", token=token)
    asked = "&".join(f"{name}={value}" for name, value in sorted(query.items()))
    ours = {"host": "s3.test", **headers}
    Signer("eu-central-1", "s3").sign("PUT", f"/{path}", asked, ours, UNSIGNED, credentials, moment)
    theirs = AWSRequest(
        "PUT", f"https://s3.test/{path}" + (f"?{asked}" if asked else ""), headers=dict(headers)
    )
    auth = S3SigV4Auth(credentials, "s3", "eu-central-1")
    stamp = ours["x-amz-date"]
    theirs.context.update(timestamp=stamp, signing={}, payload_signing_enabled=False)
    theirs.headers["X-Amz-Date"] = stamp
    theirs.headers["X-Amz-Content-SHA256"] = UNSIGNED
    if token:
        theirs.headers["X-Amz-Security-Token"] = token
    canonical = auth.canonical_request(theirs)
    signature = auth.signature(auth.string_to_sign(theirs, canonical), theirs)
    assert ours["authorization"].rpartition("=")[2] == signature


OK = head_of("200 OK", 'ETag: "v"', "Content-Length: 0", "x-amz-checksum-crc32: AAAAAA==", "Date: now")
LARGE = bytes(3 << 20)


async def part(store: S3Client, data: bytes = LARGE) -> dict[str, Any]:
    return await store.call(
        "UploadPart",
        kind=RequestKind.DATA,
        moved_bytes=len(data),
        Key="k",
        UploadId="u",
        PartNumber=1,
        Body=RequestBody(data),
    )


def takes(count: int, then: bytes) -> Any:
    """Read so much of a body, then answer."""

    async def play(wire: Wire) -> None:
        await wire.take(count)
        await wire.send(then)

    return play


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "relayed"])
async def test_both_ways_understand_an_answer_alike(direct: bool) -> None:
    said = head_of(
        "200 OK",
        "Content-Length: 10",
        "ETag: v",
        "Last-Modified: Wed, 25 Nov 2026 01:02:03 GMT",
        "Expires: never",
        "x-amz-meta-mtime: 1.5",
        "x-amz-meta-a-b: c",
        "x-amz-server-side-encryption: AES256",
        "x-amz-server-side-encryption-bucket-key-enabled: true",
        "Content-Type: text/plain",
    )
    async with RawStore(sends(said)) as raw, opened(raw, direct_requests=direct) as store:
        answer = await store.call("HeadObject", Key="k")
    wanted = {
        "ContentLength": 10,
        "ETag": "v",
        "LastModified": datetime(2026, 11, 25, 1, 2, 3, tzinfo=UTC),
        "Metadata": {"mtime": "1.5", "a-b": "c"},
        "ServerSideEncryption": "AES256",
        "BucketKeyEnabled": True,
        "ContentType": "text/plain",
    }
    assert {name: answer[name] for name in wanted} == wanted
    assert "Expires" not in answer
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


LISTED = b"""<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><Prefix>p%2F</Prefix>
<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>a+b</NextContinuationToken>
<Contents><Key>p/%C3%BC%20%2B%01</Key><Size>12</Size><ETag>&quot;v&quot;</ETag>
<LastModified>2026-11-25T01:02:03.000Z</LastModified><Owner><ID>x</ID></Owner></Contents>
<Contents><Key>p/a+b</Key><Size>0</Size><LastModified>2026-11-25T01:02:03Z</LastModified></Contents>
<CommonPrefixes><Prefix>p/d%26/</Prefix></CommonPrefixes></ListBucketResult>"""


@pytest.mark.parametrize("text", [LISTED, LISTED.replace(b"<EncodingType>url</EncodingType>", b"")])
async def test_both_ways_understand_a_page_of_a_listing_alike(text: bytes) -> None:
    page = head_of("200 OK", f"Content-Length: {len(text)}") + text
    answers = []
    for direct in (True, False):
        async with RawStore(sends(page)) as raw, opened(raw, direct_requests=direct) as store:
            answers.append(await store.call("ListObjectsV2", Prefix="p/"))
    ours, theirs = answers
    for name in ("IsTruncated", "NextContinuationToken", "CommonPrefixes"):
        assert ours[name] == theirs[name]
    kept = ("Key", "Size", "ETag", "LastModified")
    assert [[line.get(name) for name in kept] for line in ours["Contents"]] == [
        [line.get(name) for name in kept] for line in theirs["Contents"]
    ]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>",
        b"<a></a>",
        LISTED[:-5],
        LISTED.replace(b"<Size>12", b"<Size>many"),
        LISTED.replace(b"a+b</Next", b"</Next"),
    ],
)
async def test_what_is_no_page_is_an_error_and_not_an_empty_directory(text: bytes) -> None:
    page = head_of("200 OK", f"Content-Length: {len(text)}") + text
    async with RawStore(sends(page)) as raw, opened(raw) as store:
        with pytest.raises(StorageFailure):
            await store.call("ListObjectsV2", Prefix="p/")


COPIED = b"""<?xml version="1.0" encoding="UTF-8"?>
<CopyObjectResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LastModified>2026-11-25T01:02:03.004Z</LastModified>
<ETag>&quot;v&quot;</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></CopyObjectResult>"""


@pytest.mark.parametrize(
    "text", [COPIED, COPIED.replace(b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', b"")]
)
async def test_both_ways_understand_a_copy_alike(text: bytes) -> None:
    said = head_of("200 OK", f"Content-Length: {len(text)}", "x-amz-server-side-encryption: AES256") + text
    answers = []
    for direct in (True, False):
        async with RawStore(sends(said)) as raw, opened(raw, direct_requests=direct) as store:
            answers.append(await copied(store))
    ours, theirs = answers
    assert ours["CopyObjectResult"] == theirs["CopyObjectResult"]
    assert ours["ServerSideEncryption"] == theirs["ServerSideEncryption"]


@pytest.mark.parametrize("text", [b"", b"<html>", b"<a></a>", COPIED[:-5]])
async def test_what_says_of_no_copy_is_an_error(text: bytes) -> None:
    said = head_of("200 OK", f"Content-Length: {len(text)}") + text
    async with RawStore(sends(said)) as raw, opened(raw) as store:
        with pytest.raises(StorageFailure):
            await copied(store)


async def copied(store: S3Client) -> dict[str, Any]:
    return await store.call("CopyObject", Key="k", CopySource={"Bucket": "b", "Key": "old"})


async def test_connections_serve_requests_of_all_kinds() -> None:
    plays = [sends(OK), takes(len(LARGE), OK), sends(head_of("204 No Content")), sends(OK)]
    async with RawStore(*plays) as raw, opened(raw) as store:
        await store.call("HeadObject", Key="k")
        assert (await part(store))["ChecksumCRC32"] == "AAAAAA=="
        await store.call("DeleteObject", Key="k")
        await store.call("PutObject", Key="k", Body=RequestBody(b""))
        assert (raw.connections, len(raw.requests)) == (1, 4)
        assert "content-length: 0" in raw.requests[3].lower()


async def test_a_body_that_is_refused_before_its_end_leaves_no_connection() -> None:
    refusal = error("503 Slow Down", "SlowDown")
    async with RawStore(takes(1000, refusal), sends(OK)) as raw, opened(raw) as store:
        with pytest.raises(Busy):
            await part(store, bytes(64 << 20))
        await raw.until_open(0)
        await store.call("HeadObject", Key="k")
        assert raw.connections == 2


@pytest.mark.parametrize("then", ["close", "reset"])
async def test_a_body_that_is_refused_by_a_store_that_hangs_up_is_refused(then: str) -> None:
    async def refuses(wire: Wire) -> None:
        await wire.take(1000)
        await wire.send(error("503 Slow Down", "SlowDown").replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        if then == "close":
            wire.close()
        else:
            await wire.closed_by_peer()

    async with RawStore(refuses, sends(OK)) as raw, opened(raw) as store:
        with pytest.raises(Busy):
            await part(store, bytes(64 << 20))
        await raw.until_open(0)


async def test_a_part_is_sent_again_if_its_connection_was_closed_while_it_was_idle() -> None:
    plays = [sends(OK), sends(then="close"), takes(len(LARGE), OK)]
    async with RawStore(*plays) as raw, opened(raw) as store:
        await store.call("HeadObject", Key="k")
        with charging(Costs()) as costs:
            assert (await part(store))["ChecksumCRC32"] == "AAAAAA=="
        assert (raw.connections, len(raw.requests), costs.retries) == (2, 3, 0)


CONDITIONAL: list[tuple[str, dict[str, Any]]] = [
    ("PutObject", {"Body": RequestBody(b"data"), "IfNoneMatch": "*"}),
    ("PutObject", {"Body": RequestBody(b""), "IfMatch": "v"}),
    ("DeleteObject", {"IfMatch": "v"}),
    ("CopyObject", {"CopySource": {"Bucket": "bucket", "Key": "k"}, "CopySourceIfMatch": "v"}),
]


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "relayed"])
@pytest.mark.parametrize(
    ("api", "more"), CONDITIONAL, ids=lambda value: value if isinstance(value, str) else ""
)
async def test_a_conditional_change_without_a_reply_is_an_unknown_outcome(
    api: str, more: dict[str, Any], direct: bool
) -> None:
    """The store may have executed it. If it were sent again, its condition would then fail."""

    async def executes(wire: Wire) -> None:
        if "Body" in more:
            await wire.take(len(more["Body"]))
        wire.close()

    refusal = error("412 Precondition Failed", "PreconditionFailed")
    async with (
        RawStore(sends(OK), executes, sends(refusal)) as raw,
        opened(raw, direct_requests=direct) as store,
    ):
        await store.call("HeadObject", Key="k")
        with pytest.raises(StorageFailure) as raised:
            await store.call(api, Key="k", **more)
        assert outcome_is_unknown(raised.value)
        assert (raw.connections, len(raw.requests)) == (1, 2)


async def test_a_header_that_would_end_early_is_not_sent() -> None:
    async with RawStore(sends(OK)) as raw, opened(raw, attempts=3) as store:
        for value in ("a\r\nb: c", "ü\r\nb: c", "\udcff\x7f"):
            with pytest.raises(InvalidRequest):
                await store.call("PutObject", Key="k", Body=RequestBody(b""), Metadata={"owner": value})
        assert raw.requests == []
        await store.call("HeadObject", Key="k")


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "relayed"])
async def test_a_request_that_waits_for_a_session_that_closes_fails_like_any_other(
    direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any) -> Any:
        entered.set()
        await asyncio.Event().wait()

    entered = asyncio.Event()
    async with RawStore(sends(OK)) as raw, opened(raw, direct_requests=direct) as store:
        session = store._client._endpoint.http_session
        session._opening.clear()
        monkeypatch.setattr(AIOHTTPSession, "_get_session", never)
        request = asyncio.create_task(store.call("HeadObject", Key="k"))
        await entered.wait()
        await session.close()
        with pytest.raises(StorageFailure, match="cannot be reached"):
            await request


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "relayed"])
async def test_a_request_after_its_session_has_closed_fails_like_any_other(direct: bool) -> None:
    async with RawStore(sends(OK)) as raw, opened(raw, direct_requests=direct) as store:
        await store._client._endpoint.http_session.close()
        with pytest.raises(StorageFailure, match="cannot be reached"):
            await store.call("HeadObject", Key="k")
        assert raw.requests == []


async def test_a_cancelled_request_closes_its_connection() -> None:
    async def slow(wire: Wire) -> None:
        await wire.take(1000)
        await wire.send(OK[:-10])
        await wire.closed_by_peer()

    async with RawStore(sends(OK), slow, sends(OK)) as raw, opened(raw, max_connections=1) as store:
        await store.call("HeadObject", Key="k")
        for size in (1000, 64 << 20):
            sending = asyncio.create_task(part(store, bytes(size)))
            await raw.until_asked(2)
            await asyncio.sleep(0.05)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            await raw.until_open(0)
            await store.call("HeadObject", Key="k")


def test_an_address_of_ip_version_6_is_signed_in_brackets() -> None:
    route = Route(None, {})
    for url, authority in (
        ("http://[::1]:9000/bucket/", "[::1]:9000"),
        ("https://[2001:db8::1]:443/bucket/", "[2001:db8::1]"),
        ("https://s3.test/", "s3.test"),
    ):
        site = _Site.of(url, Signer("r", "s3"), route)
        assert (site.authority, site.url) == (authority, url)


async def test_a_store_that_takes_no_body_does_not_fill_memory_and_ends_with_its_caller() -> None:
    async def deaf(wire: Wire) -> None:
        await asyncio.sleep(60)

    async with RawStore(deaf, sends(OK)) as raw, opened(raw) as store:
        sending = asyncio.create_task(part(store, bytes(64 << 20)))
        await raw.until_asked(1)
        await asyncio.sleep(0.2)
        assert not sending.done()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await store.call("HeadObject", Key="k")
        assert raw.connections == 2


async def test_a_store_that_hangs_up_in_the_middle_of_a_body_is_an_unknown_outcome() -> None:
    async def hangs_up(wire: Wire) -> None:
        await wire.take(1000)
        wire.reset()

    async with RawStore(hangs_up) as raw, opened(raw) as store:
        with pytest.raises(StorageFailure) as raised:
            await part(store, bytes(64 << 20))
        assert raised.value.__cause__ is not None
        assert raised.value.__cause__.unknown is True  # type: ignore[attr-defined]


async def test_a_copy_that_ends_with_an_error_after_200_is_one() -> None:
    failure = b'<?xml version="1.0"?>\n<Error><Code>SlowDown</Code><Message>x</Message></Error>'
    late = head_of("200 OK", f"Content-Length: {len(failure) + 2}") + b"  " + failure
    good = b"<CopyObjectResult><ETag>&quot;w&quot;</ETag></CopyObjectResult>"
    fine = head_of("200 OK", f"Content-Length: {len(good)}") + good
    async with RawStore(sends(late), sends(fine)) as raw, opened(raw) as store:
        source = {"Bucket": "bucket", "Key": "s"}
        with pytest.raises(StorageError):
            await store.call("CopyObject", Key="k", CopySource=source)
        answer = await store.call("CopyObject", Key="k", CopySource=source)
        assert answer["CopyObjectResult"]["ETag"] == '"w"'
        assert "x-amz-copy-source: bucket/s" in raw.requests[0].lower()


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [("403 Forbidden", "AccessDenied", PermissionDenied), ("404 Not Found", "NoSuchKey", NotFound)],
)
async def test_errors_are_understood_whatever_was_asked(
    status: str, code: str, kind: type[Exception]
) -> None:
    async with RawStore(sends(error(status, code))) as raw, opened(raw) as store:
        for api, more in (("GetObject", {}), ("DeleteObject", {}), ("PutObject", {"Body": RequestBody(b"")})):
            with pytest.raises(kind):
                await store.call(api, Key="k", **more)


async def test_a_bucket_that_is_elsewhere_is_left_to_botocore() -> None:
    """It knows how to find out where."""
    moved = error("301 Moved Permanently", "PermanentRedirect").replace(
        b"Content-Type", b"x-amz-bucket-region: eu-west-1\r\nContent-Type"
    )
    async with RawStore(sends(moved), sends(OK)) as raw, opened(raw) as store:
        await store.call("GetObject", Key="k", Range="bytes=0-0")
        assert "us-east-1/s3" in raw.requests[0]
        assert "eu-west-1/s3" in raw.requests[-1]
        before = len(raw.requests)
        await store.call("HeadObject", Key="k")
        assert "eu-west-1/s3" in raw.requests[-1]
        assert len(raw.requests) == before + 1


@pytest.mark.parametrize("addressing", ["path", "virtual"])
async def test_the_bucket_is_addressed_as_botocore_does(addressing: str) -> None:
    async with RawStore(sends(OK)) as raw:
        endpoint = raw.url("localhost")
        async with opened(raw, addressing=addressing, endpoint_url=endpoint) as store:
            site = await store._direct._locate()  # type: ignore[union-attr]
    assert site is not None
    where = {"path": f"localhost:{raw.port}/bucket/", "virtual": f"bucket.localhost:{raw.port}/"}
    assert site.url == f"http://{where[addressing]}"


async def test_a_lookup_by_botocore_is_sent_while_the_address_is_found_out() -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def hold(params: dict[str, Any], **_: Any) -> None:
        if params["url_path"].endswith("/k"):
            entered.set()
            await go_on.wait()

    async with RawStore(sends(OK)) as raw, opened(raw) as store:
        store._client.meta.events.register("before-call.s3.HeadObject", hold)
        locating = asyncio.create_task(store._direct._made())  # type: ignore[union-attr]
        await entered.wait()
        reply = await store._client.head_object(Bucket="bucket", Key="file")
        go_on.set()
        assert len(await locating) == 1
        assert reply["ETag"] == '"v"'
        assert [request.split()[1] for request in raw.requests] == ["/bucket/file"]


async def test_without_credentials_nothing_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    async with RawStore(sends(OK)) as raw:
        async with opened(raw, access_key_id=None, secret_access_key=None) as store:
            with pytest.raises(StorageFailure, match="credentials"):
                await store.call("HeadObject", Key="k")
        assert raw.requests == []


def test_every_operation_has_a_form() -> None:
    for api in OPERATIONS:
        model = _model.operation_model(api)
        assert all(
            shape.serialization.get("location") or shape.type_name == "blob"
            for shape in model.input_shape.members.values()
        )
