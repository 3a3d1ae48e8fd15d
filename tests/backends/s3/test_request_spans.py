"""What the spans of requests to S3 say, by the semantic conventions."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import StatusCode

from s3sftp.backends.s3.errors import classify
from s3sftp.backends.s3.http.request_body import RequestBody
from s3sftp.backends.s3.request_spans import (
    endpoint_attributes,
    note_answer,
    note_failure,
    request_attributes,
    without_body,
)

_HEADERS = {"x-amz-request-id": "4442587FB7D0A2F9", "x-amz-id-2": "host=id/+", "content-length": "5"}
_IDS = {"aws.request_id": "4442587FB7D0A2F9", "aws.extended_request_id": "host=id/+"}


def begun() -> Any:
    return TracerProvider().get_tracer("test").start_span("S3.Any")


def said(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_an_answer_leaves_status_size_and_both_ids() -> None:
    span = begun()
    note_answer(span, {"ResponseMetadata": {"HTTPStatusCode": 206, "HTTPHeaders": _HEADERS}})
    assert said(span) == _IDS | {"http.response.status_code": 206, "http.response.body.size": 5}


@pytest.mark.parametrize("size", ["", "5 ", "-1", "x", "9" * 400])
def test_a_store_that_says_nonsense_of_the_size_costs_no_span(size: str) -> None:
    span = begun()
    headers = {"content-length": size}
    note_answer(span, {"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": headers}})
    assert said(span).get("http.response.body.size", 0) < 1 << 63  # what OTLP can say


@pytest.mark.parametrize(
    ("code", "status", "is_failure"), [("SlowDown", 503, True), ("NoSuchKey", 404, False)]
)
def test_a_failure_leaves_its_code_and_both_ids(code: str, status: int, is_failure: bool) -> None:
    span = begun()
    answer = {
        "Error": {"Code": code},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": _HEADERS},
    }
    failure = classify("GetObject", ClientError(answer, "GetObject"))  # type: ignore[arg-type]
    assert failure is not None
    note_failure(span, failure)
    assert said(span) == _IDS | {"error.type": code, "http.response.status_code": status}
    assert (span.status.status_code is StatusCode.ERROR) == is_failure


def test_a_request_says_what_it_is_about() -> None:
    part = {"Bucket": "b", "Key": "k", "UploadId": "u", "PartNumber": 3, "Body": RequestBody(b"12345")}
    assert request_attributes("UploadPart", without_body(part), 2) == {
        "rpc.system": "aws-api",
        "rpc.service": "S3",
        "rpc.method": "UploadPart",
        "aws.s3.bucket": "b",
        "aws.s3.key": "k",
        "aws.s3.upload_id": "u",
        "aws.s3.part_number": 3,
        "http.request.body.size": 5,
        "http.request.resend_count": 1,
    }


@pytest.mark.parametrize(
    ("url", "port"),
    [("https://s3.eu-central-1.amazonaws.com", 443), ("http://h", 80), ("http://h:9000", 9000)],
)
def test_the_endpoint_is_a_host_and_a_port(url: str, port: int) -> None:
    attributes = endpoint_attributes(url)
    assert attributes["server.port"] == port
    assert str(attributes["server.address"]) in url
