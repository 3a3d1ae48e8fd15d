"""What the spans of requests to S3 say: OpenTelemetry's semantic conventions for AWS S3 client spans.

https://opentelemetry.io/docs/specs/semconv/object-stores/s3/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry.trace import Span, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from s3sftp.backends.s3.errors import RequestError
from s3sftp.telemetry import set_later
from s3sftp.telemetry.logs import printable

_EXPECTED_STATUSES: Final = frozenset({304, 404, 412})
"""Statuses that are information and no failure: they do not mark a span as failed."""
_NAMES: Final = {
    "Bucket": "aws.s3.bucket",
    "Key": "aws.s3.key",
    "UploadId": "aws.s3.upload_id",
    "PartNumber": "aws.s3.part_number",
    "CopySource": "aws.s3.copy_source",
    "Prefix": "s3sftp.s3.prefix",
    "Range": "s3sftp.s3.range",
}
"""Attributes by the request's parameters."""


def endpoint_attributes(url: str) -> dict[str, str | int]:
    """The attributes of the endpoint that requests go to."""
    parts = urlsplit(url)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    return {"server.address": parts.hostname or "", "server.port": port}


def without_body(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters with the size of the body in its place: a span may wait, and must not keep it."""
    body = parameters.get("Body")
    return parameters if body is None else {**parameters, "Body": len(body)}


def request_attributes(api: str, parameters: Mapping[str, Any], attempt: int) -> dict[str, str | int]:
    """The attributes of one attempt of a request, as it is sent. `parameters`: of `without_body`."""
    attributes: dict[str, str | int] = {"rpc.system": "aws-api", "rpc.service": "S3", "rpc.method": api}
    for parameter, value in parameters.items():
        name = _NAMES.get(parameter)
        if name is not None and value is not None:
            attributes[name] = value if isinstance(value, str | int) else _text(value)
    if (body := parameters.get("Body")) is not None:
        attributes["http.request.body.size"] = body
    if attempt > 1:
        attributes["http.request.resend_count"] = attempt - 1
    return attributes


def note_answer(current: Span, answer: Mapping[str, Any]) -> None:
    """Record what the store has answered."""
    if current.is_recording():
        about = answer.get("ResponseMetadata", {})
        set_later(current, lambda: _of_answer(about))


def _of_answer(about: Mapping[str, Any]) -> dict[str, AttributeValue]:
    headers = about.get("HTTPHeaders", {})
    attributes = _ids(headers.get("x-amz-request-id", ""), headers.get("x-amz-id-2", ""))
    attributes["http.response.status_code"] = about.get("HTTPStatusCode", 0)
    size = headers.get("content-length", "")
    if size.isdecimal():
        attributes["http.response.body.size"] = int(size[:18])
    return attributes


def note_failure(current: Span, request_error: RequestError) -> None:
    """Record why an attempt has failed."""
    if not current.is_recording():
        return
    current.set_attribute("error.type", request_error.code or str(request_error.status))
    if request_error.status:
        current.set_attribute("http.response.status_code", request_error.status)
    set_later(current, lambda: _ids(*request_error.request_ids))
    if request_error.status not in _EXPECTED_STATUSES:
        current.set_status(Status(StatusCode.ERROR, printable(str(request_error))))


def _ids(request: str, extended: str) -> dict[str, AttributeValue]:
    ids: dict[str, AttributeValue] = {}
    if request:
        ids["aws.request_id"] = request
    if extended:
        ids["aws.extended_request_id"] = extended
    return ids


def _text(value: Any) -> str:
    if isinstance(value, Mapping):  # CopySource
        return f"{value.get('Bucket', '')}/{value.get('Key', '')}"
    return str(value)
