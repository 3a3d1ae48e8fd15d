"""Verifies that a success contains what only the store can say; any other success is not believed. Pure.

A captive proxy, a broken gateway or a cache may reply 200 to anything: with a page of HTML, with nothing, or
with an ETag of its own. Nothing is stored then. So each success is checked, whichever way the request was
sent. One that lacks its evidence is a failure with an unknown outcome: docs/decisions/0024.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

Answer = Mapping[str, Any]


class UnprovenReply(Exception):
    """A success without evidence that the store has done, or said, anything."""


class UnprovenChange(UnprovenReply):
    """A success without evidence, of a request that adds or removes an object.

    The caller looks at the object before it retries, so a store that never gives the evidence costs one HEAD
    instead of several equal requests.
    """


def require_evidence(api: str, answer: Answer) -> None:
    """Check a reply.

    Raises UnprovenReply: if it lacks what only the store can say. Raises UnprovenChange: if the request also
    changes an object.
    """
    lacking = _PROOFS.get(api, _nothing)(answer)
    if lacking:
        raise (UnprovenChange if api in _CHANGES else UnprovenReply)(f"the reply has {lacking}")


def _nothing(answer: Answer) -> str:
    return ""


def _etag(answer: Answer) -> str:
    return "" if answer.get("ETag") else "no ETag"


def _stored(answer: Answer) -> str:
    """For what it has stored, S3 replies with an ETag and without a body."""
    if _headers(answer).get("content-length", "0") != "0":
        return "a body, and should have none"
    return _etag(answer)


def _part(answer: Answer) -> str:
    """A body is accepted unless its type is HTML. CompleteMultipartUpload repeats the ETag, and the store
    then verifies that it has the part."""
    kind = _headers(answer).get("content-type", "xml")
    return _etag(answer) if "xml" in kind and "html" not in kind else _stored(answer)


def _copied(name: str) -> Callable[[Answer], str]:
    return lambda answer: "" if (answer.get(name) or {}).get("ETag") else f"no ETag in a {name}"


def _created(answer: Answer) -> str:
    return "" if answer.get("UploadId") else "no UploadId"


def _gone(answer: Answer) -> str:
    status = answer["ResponseMetadata"]["HTTPStatusCode"]
    return "" if status == 204 else f"status {status} instead of 204"


def _object(answer: Answer) -> str:
    """Either suffices: some stores send no ETags, and some gateways remove all of Amazon's headers."""
    if answer.get("ETag") or any(name.startswith("x-amz-") for name in _headers(answer)):
        return ""
    return "neither an ETag nor a field of S3"


def _page(answer: Answer) -> str:
    """An empty page resembles any other text, except for what a listing reports about itself."""
    if not any(name in answer for name in _OF_A_LISTING):
        return "nothing of a listing"
    if answer.get("IsTruncated") and not any(answer.get(name) for name in _NEXT):
        return "more to follow, and does not say where"
    return ""


def _listing(answer: Answer) -> str:
    """In a V1 listing the names themselves show where it continues."""
    for lines, name in (("Contents", "Key"), ("CommonPrefixes", "Prefix")):
        if any(name not in line for line in answer.get(lines, ())):
            return f"{lines} without a {name}"
    is_older = not any(name in answer for name in _OF_V2)
    has_names = answer.get("Contents") or answer.get("CommonPrefixes")
    return "" if is_older and has_names else _page(answer)


def _tags(answer: Answer) -> str:
    return "" if "TagSet" in answer else "no TagSet"


def _headers(answer: Answer) -> Mapping[str, str]:
    headers: Mapping[str, str] = answer["ResponseMetadata"].get("HTTPHeaders", {})
    return headers


_CHANGES: Final = frozenset({"CompleteMultipartUpload", "CopyObject", "DeleteObject", "PutObject"})
_OF_A_LISTING: Final = ("IsTruncated", "KeyCount", "MaxKeys", "MaxParts", "MaxUploads", "Name")
_OF_V2: Final = ("KeyCount", "NextContinuationToken")
_NEXT: Final = ("NextContinuationToken", "NextMarker", "NextKeyMarker", "NextPartNumberMarker")
_PROOFS: Final[Mapping[str, Callable[[Answer], str]]] = {
    "AbortMultipartUpload": _gone,
    "CompleteMultipartUpload": _etag,
    "CopyObject": _copied("CopyObjectResult"),
    "CreateMultipartUpload": _created,
    "DeleteObject": _gone,
    "GetObject": _object,
    "GetObjectTagging": _tags,
    "HeadObject": _object,
    "ListMultipartUploads": _page,
    "ListObjects": _listing,
    "ListObjectsV2": _listing,
    "ListParts": _page,
    "PutObject": _stored,
    "UploadPart": _part,
    "UploadPartCopy": _copied("CopyPartResult"),
}
