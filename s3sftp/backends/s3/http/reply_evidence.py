"""What an answer must say to be believed: a success is one only if it holds what the store alone can say.

A captive proxy, a broken gateway or a cache may answer anything with 200: a page of HTML, nothing at all, an
ETag of its own. Nothing is stored then. So each success is looked at, whichever way the request was sent, and
one that lacks its proof is a failure whose outcome is unknown: docs/decisions/0024. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

Answer = Mapping[str, Any]


class UnprovenReply(Exception):
    """A success that does not show that the store has done, or said, anything."""


class UnprovenChange(UnprovenReply):
    """Of a request that adds or removes an object: the caller looks at the object before asking again. So a
    store that never gives this proof costs one HEAD, not the same request several times."""


def require_evidence(api: str, answer: Answer) -> None:
    """Raise Unproven when the answer lacks what the store alone can say."""
    lacking = _PROOFS.get(api, _nothing)(answer)
    if lacking:
        raise (UnprovenChange if api in _CHANGES else UnprovenReply)(f"the answer has {lacking}")


def _nothing(answer: Answer) -> str:
    return ""


def _etag(answer: Answer) -> str:
    return "" if answer.get("ETag") else "no ETag"


def _stored(answer: Answer) -> str:
    """S3 says of what it has stored which ETag it has, and nothing in a body."""
    if _headers(answer).get("content-length", "0") != "0":
        return "a body, and should have none"
    return _etag(answer)


def _part(answer: Answer) -> str:
    """Complete names the ETag, and the store then says whether it has the part. So a body may come along that
    does not call itself a page."""
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
    """Either of them will do: some stores have no ETags, and some gateways leave out all that is Amazon's."""
    if answer.get("ETag") or any(name.startswith("x-amz-") for name in _headers(answer)):
        return ""
    return "neither an ETag nor a field of S3"


def _page(answer: Answer) -> str:
    """An empty page looks like any other text, but for what a listing says of itself."""
    if not any(name in answer for name in _OF_A_LISTING):
        return "nothing of a listing"
    if answer.get("IsTruncated") and not any(answer.get(name) for name in _NEXT):
        return "more to follow, and does not say where"
    return ""


def _listing(answer: Answer) -> str:
    """In the older form the names themselves say where it goes on."""
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
