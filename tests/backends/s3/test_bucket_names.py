"""Whatever stands in the place of a bucket's name: our requests are those that botocore makes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiobotocore.awsrequest import AioAWSResponse
from botocore import xform_name
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HAS_CRT
from botocore.exceptions import ClientError
from botocore.handlers import VALID_BUCKET, VALID_S3_ARN
from pydantic import SecretStr, ValidationError

from s3sftp.backends.s3 import S3Options, check
from s3sftp.backends.s3.botocore_client import BotocoreClient, make_client
from s3sftp.backends.s3.bucket_names import bucket_name_problem, is_directory_bucket
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.errors import UNMADE
from s3sftp.backends.s3.http.request_body import RequestBody
from s3sftp.backends.s3.http.response_body import ErrorText
from s3sftp.backends.s3.http.signing import EMPTY
from s3sftp.errors import ConfigurationError
from tests.backends.s3.test_fast_client_requests import lowered
from tests.support.raw_store import RawStore, Wire, head_of

ACCESS_POINT = "arn:aws:s3:us-east-1:123456789012:accesspoint/ap"
ALIAS = "ap-abcdefghijklmnopqrstuvwxyz0123456789-s3alias"
OUTPOST = "arn:aws:s3-outposts:us-east-1:123456789012:outpost/op-01ac5d28a6a232904/accesspoint/ap"
LAMBDA = "arn:aws:s3-object-lambda:us-east-1:123456789012:accesspoint/banner"
MULTI_REGION = "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap"
DIRECTORY = "lab--use1-az4--x-s3"

ELSEWHERE = ACCESS_POINT.replace("us-east-1", "us-west-2")
PLAIN = ["bucket", "my.bucket", "Old_Bucket", ALIAS, ACCESS_POINT, ELSEWHERE]
WAYS: list[dict[str, Any]] = [
    {},
    {"addressing": "path"},
    {"addressing": "virtual"},
    {"endpoint_url": "https://s3.test"},
    {"endpoint_url": "https://s3.test:8443/pre/fix", "addressing": "path"},
    {"endpoint_url": "https://s3.test", "addressing": "virtual"},
    {"signed_payloads": True, "requester_pays": True},
    {"checksum": "md5"},
]
SETTINGS: list[dict[str, str]] = [
    {"AWS_USE_FIPS_ENDPOINT": "true"},
    {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
    {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
    {"AWS_ENDPOINT_URL_S3": "https://store.test"},
    {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"},
    {"AWS_MAX_ATTEMPTS": "9", "AWS_RETRY_MODE": "adaptive"},
    {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_supported"},
    {"AWS_RESPONSE_CHECKSUM_VALIDATION": "when_supported"},
    {"profile": "use_accelerate_endpoint = true"},
    {"profile": "addressing_style = path"},
    {"profile": "payload_signing_enabled = true"},
    {"profile": "us_east_1_regional_endpoint = legacy"},
]


def options(bucket: str, **more: Any) -> S3Options:
    keys = {"access_key_id": SecretStr("AKIDEXAMPLE"), "secret_access_key": SecretStr("SECRET")}
    return S3Options(bucket=bucket, **keys, **more)


def requests_for(bucket: str) -> list[tuple[str, dict[str, Any]]]:
    key = "a b/ü+%#?&=*'()~-._"
    data = {"Body": RequestBody(b"data"), "ContentMD5": "jXd/OF09/siBXSD3SWAm3A=="}
    return [
        ("HeadObject", {"Key": key}),
        ("GetObject", {"Key": key, "Range": "bytes=0-9", "IfMatch": '"v"'}),
        ("PutObject", {"Key": key, **data, "Metadata": {"mtime": "1"}}),
        ("UploadPart", {"Key": key, **data, "UploadId": "u/+", "PartNumber": 7}),
        ("DeleteObject", {"Key": "/k"}),
        ("CopyObject", {"Key": key, "CopySource": {"Bucket": bucket, "Key": key}}),
        ("ListObjectsV2", {"Prefix": "a b/", "Delimiter": "/"}),
    ]


@asynccontextmanager
async def made(given: S3Options) -> AsyncIterator[BotocoreClient]:
    client = await make_client(given)
    try:
        yield client
    finally:
        await client.context.__aexit__(None, None, None)


async def by_botocore(made: BotocoreClient, bucket: str, api: str, parameters: dict[str, Any]) -> Any:
    """What botocore would send."""
    kept: list[Any] = []

    def keep(request: Any, **_: Any) -> AioAWSResponse:
        kept.append(request)
        return AioAWSResponse(request.url, 404, {}, ErrorText(b""))

    made.client.meta.events.register("before-send.s3", keep)
    try:
        with pytest.raises(ClientError):
            await getattr(made.client, xform_name(api))(Bucket=bucket, **parameters)
    finally:
        made.client.meta.events.unregister("before-send.s3", keep)
    return kept[0]


OWN = {
    *("user-agent", "x-amz-date", "x-amz-content-sha256", "authorization", "amz-sdk-invocation-id"),
    *("amz-sdk-request", "content-length", "host", "accept-encoding"),
}
"""What may differ, or is looked at in another way."""


async def compare(given: S3Options) -> None:
    async with made(given) as client:
        assert client.direct is not None
        for api, parameters in requests_for(given.bucket):
            if given.requester_pays:
                parameters["RequestPayer"] = "requester"
            theirs = await by_botocore(client, given.bucket, api, parameters)
            site = await client.direct._locate()
            assert site is not None
            asked = parameters | ({"EncodingType": "url"} if api == "ListObjectsV2" else {})
            form = client.direct._operations[api].form({"Bucket": given.bucket, **asked})
            assert form is not None
            ours = await client.direct._request(site, form)
            headers = ours.headers
            url = urlsplit(theirs.url)
            assert ours.method == theirs.method
            assert (urlsplit(ours.url).scheme, headers["host"]) == (url.scheme, url.netloc)
            path, _, query = ours.url.removeprefix(site.origin).partition("?")
            assert path == (url.path or "/")
            assert sorted(query.split("&")) == sorted(url.query.split("&"))
            said = lowered(theirs.headers)
            assert {name: headers[name] for name in headers.keys() - OWN} == {
                name: said[name] for name in said.keys() - OWN
            }
            assert headers["x-amz-content-sha256"] in (
                said["x-amz-content-sha256"],
                *(() if form.body or given.signed_payloads else (EMPTY,)),
            )
            assert scope_of(headers["authorization"]) == scope_of(said["authorization"])
            require_signature(given, theirs.method, theirs.url, headers)


def scope_of(authorization: str) -> str:
    return authorization.partition("Credential=")[2].partition(",")[0]


def require_signature(given: S3Options, method: str, url: str, headers: dict[str, str]) -> None:
    """That botocore would have signed the same headers alike."""
    scope = scope_of(headers["authorization"]).split("/")
    signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    request = AWSRequest(method, url, headers={name: headers[name] for name in signed if name != "host"})
    request.context["timestamp"] = headers["x-amz-date"]

    class Credentials:
        access_key, secret_key, token = "AKIDEXAMPLE", "SECRET", None

    auth = S3SigV4Auth(Credentials, scope[3], scope[2])
    auth.payload = lambda _: headers["x-amz-content-sha256"]
    canonical = auth.canonical_request(request)
    signature = auth.signature(auth.string_to_sign(request, canonical), request)
    assert headers["authorization"].rpartition("=")[2] == signature


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("bucket", PLAIN)
async def test_each_request_is_the_one_that_botocore_makes(bucket: str, way: dict[str, Any]) -> None:
    await compare(options(bucket, region="us-east-1", **way))


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, request: pytest.FixtureRequest) -> None:
    """The AWS environment says this, and nothing else."""
    said = dict(request.param)
    profile = said.pop("profile", None)
    config = tmp_path / "config"
    config.write_text("[default]\n" + (f"s3 =\n  {profile}\n" if profile else ""))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    for name, value in said.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("bucket", ["bucket", "my.bucket", ALIAS, ACCESS_POINT])
@pytest.mark.parametrize("environment", SETTINGS, ids=str, indirect=True)
async def test_what_the_environment_says_is_true_of_both_ways(environment: None, bucket: str) -> None:
    # what botocore does not make (an access point with acceleration) is not made by us either
    with suppress(*UNMADE):
        await compare(options(bucket))


@pytest.mark.parametrize("environment", [{"profile": "use_accelerate_endpoint = true"}], indirect=True)
async def test_settings_that_cannot_be_together_are_told_with_the_reason(environment: None) -> None:
    [finding] = await check(options(ACCESS_POINT, region="us-east-1"))
    assert (finding.state, finding.text.partition(" (")[0]) == ("failed", "storage is misconfigured")
    assert "Accelerate" in finding.advice


@pytest.mark.parametrize("environment", [{"profile": "addressing_style = path"}], indirect=True)
async def test_a_profile_says_where_the_name_stands_unless_the_options_do(environment: None) -> None:
    for addressing, url in (
        ("auto", "https://s3.amazonaws.com/lab/"),
        ("virtual", "https://lab.s3.amazonaws.com/"),
    ):
        async with made(options("lab", addressing=addressing)) as client:
            assert client.direct is not None
            site = await client.direct._locate()
            assert site is not None
            assert site.url == url


@pytest.mark.parametrize("bucket", [OUTPOST, LAMBDA])
async def test_what_is_signed_for_in_another_way_is_left_to_botocore(bucket: str) -> None:
    async with made(options(bucket, region="us-east-1")) as client:
        assert client.direct is not None
        assert await client.direct._locate() is None


@pytest.mark.skipif(HAS_CRT, reason="needs botocore without awscrt")
async def test_an_access_point_of_several_regions_names_the_library_that_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="awscrt"):
        await make_client(options(MULTI_REGION))


@pytest.mark.skipif(not HAS_CRT, reason="needs awscrt")
async def test_an_access_point_of_several_regions_is_left_to_botocore() -> None:
    async with made(options(MULTI_REGION)) as client:
        assert client.direct is not None
        assert await client.direct._locate() is None


SESSION = (
    b"<CreateSessionResult><Credentials><AccessKeyId>SESSIONKEY</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
    b"<SessionToken>token-of-the-session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>"
    b"</Credentials></CreateSessionResult>"
)


async def test_a_directory_bucket_is_asked_with_the_key_of_a_session() -> None:
    async def store(wire: Wire) -> None:
        body = SESSION if "?session" in wire.request.split(" ")[1] else b""
        length = f"Content-Length: {len(body)}"
        await wire.send(head_of("200 OK", 'ETag: "v"', length, "x-amz-request-id: r") + body)

    async with RawStore(store) as raw:
        given = options(DIRECTORY, region="us-east-1", endpoint_url=raw.url())
        client = S3Client(given)
        await client.start()
        try:
            await client.call("HeadObject", Key="k")
            await client.call("HeadObject", Key="l")
        finally:
            await client.stop()
    assert [line.split(" ")[0] for line in raw.requests] == ["GET", "HEAD", "HEAD"]
    for line in raw.requests[1:]:
        assert "x-amz-s3session-token: token-of-the-session" in line.lower()
        assert "Credential=SESSIONKEY/" in line
        assert "/s3express/aws4_request" in line


@pytest.mark.parametrize("bucket", [*PLAIN, OUTPOST, LAMBDA, MULTI_REGION, DIRECTORY, "a" * 255])
def test_what_botocore_takes_is_taken(bucket: str) -> None:
    assert VALID_BUCKET.search(bucket) or VALID_S3_ARN.search(bucket)
    assert bucket_name_problem(bucket) is None
    assert is_directory_bucket(bucket) is (bucket == DIRECTORY)


@pytest.mark.parametrize(
    ("bucket", "says"),
    [
        ("arn:aws:s3:::lab", "give its name, 'lab'"),
        ("arn:aws-cn:s3:::lab/prefix/*", "give its name, 'lab'"),
        ("arn:aws:iam::123456789012:role/sftp", "only access points"),
        ("s3://lab/prefix", "endpoint_url"),
        ("https://lab.s3.amazonaws.com", "endpoint_url"),
        ("lab/prefix", "in prefix"),
        ("lab bucket", "letters"),
        ("tenant:lab", "letters"),
        ("läb", "letters"),
        ("lab\n", "letters"),
    ],
)
def test_what_botocore_refuses_is_refused_with_what_would_be_right(bucket: str, says: str) -> None:
    assert not VALID_S3_ARN.search(bucket)
    with pytest.raises(ValidationError, match=says):
        S3Options(bucket=bucket)
