"""What went through the fault proxy: each S3 request, by the name of its API."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass
class Seen:
    """One HTTP request as it arrived, and what became of it."""

    method: str
    path: str
    """As sent, percent-encoded, without the query."""
    query: dict[str, str]
    headers: dict[str, str]
    """Names in lower case."""
    api: str
    """Name of the S3 API, such as `UploadPart`."""
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    status: int | None = None
    """The status that the client got; None before it got one."""
    fault: str | None = None
    """Name of the action that a rule applied."""
    reply_held: bool = False
    """S3 has answered, and a rule keeps the answer back."""
    body: bytes = b""
    """The first MiB of a POST's body (DeleteObjects, CompleteMultipartUpload)."""
    bytes_in: int = 0
    """Bytes of the request's body that arrived."""
    bytes_out: int = 0
    """Bytes of the answer's body that were passed on."""

    @property
    def bucket(self) -> str:
        return unquote(self.path).lstrip("/").split("/", 1)[0]

    @property
    def key(self) -> str:
        """The object's key, decoded; empty for requests about the bucket."""
        return unquote(self.path.lstrip("/").partition("/")[2])

    @property
    def copy_source(self) -> str:
        return unquote(self.headers.get("x-amz-copy-source", ""))


def seen_from(head: bytes) -> Seen:
    """Read the head of an HTTP request (request line and headers)."""
    lines = head.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ", 2)
    url = urlsplit(target)
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    headers = headers_of(lines[1:])
    return Seen(method, url.path, query, headers, api_of(method, url.path, query, headers))


def headers_of(lines: list[str]) -> dict[str, str]:
    """Header lines as a dictionary; names in lower case."""
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    return {name.strip().lower(): value.strip() for name, value in pairs}


# (method, about an object?, query parameter that must be there or "") -> API; the first that fits.
_APIS: tuple[tuple[str, bool, str, str], ...] = (
    ("PUT", True, "partNumber", "UploadPart"),
    ("PUT", True, "tagging", "PutObjectTagging"),
    ("PUT", True, "", "PutObject"),
    ("GET", True, "uploadId", "ListParts"),
    ("GET", True, "tagging", "GetObjectTagging"),
    ("GET", True, "", "GetObject"),
    ("HEAD", True, "", "HeadObject"),
    ("POST", True, "uploads", "CreateMultipartUpload"),
    ("POST", True, "uploadId", "CompleteMultipartUpload"),
    ("DELETE", True, "uploadId", "AbortMultipartUpload"),
    ("DELETE", True, "", "DeleteObject"),
    ("GET", False, "uploads", "ListMultipartUploads"),
    ("GET", False, "lifecycle", "GetBucketLifecycleConfiguration"),
    ("GET", False, "versioning", "GetBucketVersioning"),
    ("GET", False, "location", "GetBucketLocation"),
    ("GET", False, "list-type", "ListObjectsV2"),
    ("GET", False, "", "ListObjects"),
    ("HEAD", False, "", "HeadBucket"),
    ("POST", False, "delete", "DeleteObjects"),
    ("PUT", False, "lifecycle", "PutBucketLifecycleConfiguration"),
    ("PUT", False, "", "CreateBucket"),
    ("DELETE", False, "", "DeleteBucket"),
)
_COPIES = {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}


def api_of(method: str, path: str, query: dict[str, str], headers: dict[str, str]) -> str:
    """Name of the S3 API that a request (path-style addressing) calls; `Unknown` if it is none of ours."""
    if path in ("", "/"):
        return "ListBuckets" if method == "GET" else "Unknown"
    about_object = bool(path.lstrip("/").partition("/")[2])
    for its_method, its_object, parameter, api in _APIS:
        if (method, about_object) == (its_method, its_object) and (not parameter or parameter in query):
            return _COPIES.get(api, api) if "x-amz-copy-source" in headers else api
    return "Unknown"


class RequestLog(list[Seen]):
    """Requests in order of arrival."""

    def of(self, *apis: str, key: str = "") -> list[Seen]:
        """Those that called one of `apis` (any, if none is named) and whose key matches the pattern."""
        return [seen for seen in self if (not apis or seen.api in apis) and re.search(key, seen.key)]

    def count(self, *apis: str, key: str = "") -> int:  # type: ignore[override]
        return len(self.of(*apis, key=key))

    def by_api(self) -> Counter[str]:
        """How often each API was called, attempts that failed included."""
        return Counter(seen.api for seen in self)
