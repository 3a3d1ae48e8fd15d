"""How an operation of S3 looks in HTTP: parameters into a request, the head of an answer into fields. Pure.

botocore's model says where each parameter travels (header, query, path) and under which name; it is read once
for each operation, and botocore itself is not asked again. What only botocore can express (XML in a request)
has no form here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

from botocore.exceptions import ParamValidationError

from s3sftp.backends.s3.bucket_names import is_arn
from s3sftp.backends.s3.http.request_body import RequestBody
from s3sftp.backends.s3.http.response_fields import parse_count, parse_count_or_none, parse_http_date

_SAFE_IN_KEYS: Final = "/~"
_SAFE_IN_QUERIES: Final = "-._~"
_IMPOSSIBLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""Characters that end a header, or are none in it."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, without where it goes and who signs it."""

    method: str
    key: str
    """Percent-encoded; empty: the bucket itself is asked."""
    query: str
    """Percent-encoded, the fields in order of their names."""
    headers: dict[str, str]
    """Names in lower case; values as `header_text` makes them, for what others wrote is sent as it was."""
    body: memoryview


class OperationSerializer:
    """One operation of the model."""

    def __init__(self, model: Any) -> None:
        """`model` is botocore's OperationModel, of a request whose body, if any, is bytes."""
        self.method: str = model.http["method"]
        self._query = parse_qsl(urlsplit(model.http["requestUri"]).query, keep_blank_values=True)
        self._inputs = {
            name: (shape.serialization.get("location", ""), shape.serialization.get("name", name), shape)
            for name, shape in model.input_shape.members.items()
        }
        members = model.output_shape.members if model.output_shape is not None else {}
        self.shape = model.output_shape
        self.has_text = any(
            shape.type_name != "blob" and "location" not in shape.serialization for shape in members.values()
        )
        """Whether the answer's body is XML."""
        self._headers: dict[str, tuple[str, Callable[[str], Any]]] = {}
        self._prefixes: dict[str, str] = {}
        for name, shape in members.items():
            place, wire_name = shape.serialization.get("location"), shape.serialization.get("name", name)
            if place == "header":
                self._headers[wire_name.lower()] = (name, _READERS.get(shape.type_name, str))
            elif place == "headers":
                self._prefixes[wire_name.lower()] = name

    def form(self, parameters: Mapping[str, Any]) -> HttpRequest | None:
        """The request for these parameters; None where that takes botocore.

        Raises ParamValidationError for what no header can hold.
        """
        headers: dict[str, str] = {}
        query = list(self._query)
        key, body = "", memoryview(b"")
        for name, value in parameters.items():
            place, wire_name, shape = self._inputs.get(name, ("unknown", "", None))
            if place == "header":
                headers[wire_name.lower()] = _written(name, value)
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
        """What the head of a good answer says, in botocore's words. `headers` have lower-case names."""
        found: dict[str, Any] = {"ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers}}
        found |= {name: {} for name in self._prefixes.values()}
        for wire_name, text in headers.items():
            known = self._headers.get(wire_name)
            if known is not None:
                name, read = known
                if (value := read(text)) is not None:
                    found[name] = value
                continue
            for prefix, name in self._prefixes.items():
                if wire_name.startswith(prefix):
                    found[name][wire_name[len(prefix) :]] = text
        return found


def _written(name: str, value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return format_datetime(value.astimezone(UTC), usegmt=True)
        case {"Bucket": bucket, "Key": key} if name == "CopySource":
            inside = "/object" if is_arn(bucket) else ""  # of an access point
            return quote(f"{bucket}{inside}/{key}", safe=_SAFE_IN_KEYS)
    return str(value)


_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "integer": parse_count_or_none,
    "long": parse_count,
    "boolean": lambda text: text.lower() == "true",
    "timestamp": parse_http_date,
}
