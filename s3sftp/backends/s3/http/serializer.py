"""Converts S3 operations to HTTP: parameters to a request, and the head of a reply to fields. Pure.

botocore's model tells where each parameter goes (header, query, path) and under which name. It is read once
per operation, and botocore is not consulted again. A request that only botocore can express (XML in its body)
cannot be converted here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

from botocore.exceptions import ParamValidationError

from s3sftp.backends.s3.bucket_names import is_arn
from s3sftp.backends.s3.http.request_body import RequestBody
from s3sftp.backends.s3.http.response_fields import parse_count, parse_count_or_none, parse_http_date

_SAFE_IN_KEYS: Final = "/~"
_SAFE_IN_QUERIES: Final = "-._~"
_IMPOSSIBLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""Characters that would end a header, or are invalid in it."""


class HttpRequest(NamedTuple):
    """A request without its address and signature."""

    method: str
    key: str
    """Percent-encoded. Empty: the request is for the bucket itself."""
    query: str
    """Percent-encoded, the fields sorted by name."""
    headers: dict[str, str]
    """Names in lower case; values as from `header_text`, so that foreign bytes are sent unchanged."""
    body: memoryview


class OperationSerializer:
    """Serializes the requests of one operation, and parses the heads of its replies."""

    def __init__(self, model: Any) -> None:
        """`model` is botocore's OperationModel of a request whose body, if any, is bytes."""
        self.method: str = model.http["method"]
        self._query = parse_qsl(urlsplit(model.http["requestUri"]).query, keep_blank_values=True)
        self._inputs = {name: _place_of(name, shape) for name, shape in model.input_shape.members.items()}
        members = model.output_shape.members if model.output_shape is not None else {}
        self.shape = model.output_shape
        self.has_text = any(
            shape.type_name != "blob" and "location" not in shape.serialization for shape in members.values()
        )
        """Whether the reply's body is XML."""
        self._headers: dict[str, tuple[str, Callable[[str], Any]]] = {}
        self._prefixes: dict[str, str] = {}
        for name, shape in members.items():
            place, wire_name = shape.serialization.get("location"), shape.serialization.get("name", name)
            if place == "header":
                self._headers[wire_name.lower()] = (name, _READERS.get(shape.type_name, str))
            elif place == "headers":
                self._prefixes[wire_name.lower()] = name

    def form(self, parameters: Mapping[str, Any]) -> HttpRequest | None:
        """Return the request for these parameters; None if only botocore can express it.

        Raises ParamValidationError: if a value cannot be sent in a header.
        """
        headers: dict[str, str] = {}
        query = list(self._query)
        key, body = "", memoryview(b"")
        for name, value in parameters.items():
            place, wire_name, shape = self._inputs.get(name, ("unknown", "", None))
            if place == "header":
                headers[wire_name] = _written(name, value)
            elif place == "headers":
                headers.update({f"{wire_name}{each}".lower(): text for each, text in value.items()})
            elif place == "querystring":
                query.append((wire_name, quote(_written(name, value), safe=_SAFE_IN_QUERIES)))
            elif place == "uri":
                if name == "Key":
                    key = quote(value, safe=_SAFE_IN_KEYS)
            elif shape is not None and shape.type_name == "blob" and isinstance(value, RequestBody):
                body = value.getbuffer()
            else:
                return None
        for name, text in headers.items():
            if _IMPOSSIBLE.search(text):
                raise ParamValidationError(report=f"{name} cannot be sent in a header")
        return HttpRequest(self.method, key, "&".join(f"{n}={v}" for n, v in sorted(query)), headers, body)

    def fields(self, status: int, headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the fields in the head of a successful reply, with botocore's names.

        `headers` have lower-case names.
        """
        found: dict[str, Any] = {"ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers}}
        for wire_name in self._headers.keys() & headers.keys():
            name, read = self._headers[wire_name]
            if (value := read(headers[wire_name])) is not None:
                found[name] = value
        for prefix, name in self._prefixes.items():
            found[name] = {
                wire_name[len(prefix) :]: text
                for wire_name, text in headers.items()
                if wire_name.startswith(prefix)
            }
        return found


def _place_of(name: str, shape: Any) -> tuple[str, str, Any]:
    """Where a parameter goes, under which name, and its shape."""
    place, wire_name = shape.serialization.get("location", ""), shape.serialization.get("name", name)
    return place, wire_name.lower() if place == "header" else wire_name, shape


def _written(name: str, value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case datetime():
            return format_datetime(value.astimezone(UTC), usegmt=True)
        case {"Bucket": bucket, "Key": key} if name == "CopySource":
            inside = "/object" if is_arn(bucket) else ""  # for an access point
            return quote(f"{bucket}{inside}/{key}", safe=_SAFE_IN_KEYS)
    return str(value)


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "integer": parse_count_or_none,
    "long": parse_count,
    "boolean": lambda text: text.lower() == "true",
    "timestamp": parse_http_date,
}
