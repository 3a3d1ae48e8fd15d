"""Lists with ListObjectsV2, or with ListObjects if the store lacks it, and returns the former's fields.

    V2 reply   valid                                is returned
               refused (400, 405, 501)              V1 is tried; if it works, it is used from then on
               in the form of V1                    this page counts, the next is requested by V1

The type of a continuation token shows the version of its listing, so that a listing does not change versions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from s3sftp.backends.s3.errors import has_status, request_error_behind
from s3sftp.backends.s3.features import Feature, Features
from s3sftp.backends.s3.retry_policy import RetryAdvice
from s3sftp.errors import StorageError, StorageFailure

Answer = dict[str, Any]
Ask = Callable[..., Awaitable[Answer]]


class ListMarker(str):
    """The continuation token of a ListObjects listing: the last name of the previous page."""

    __slots__ = ()


async def list_page(ask: Ask, features: Features, **parameters: Any) -> Answer:
    """Request one page of a listing; `ask` sends a request.

    Raises StorageError: if the request fails; that of ListObjectsV2 if both fail.
    """
    after = parameters.get("ContinuationToken")
    if isinstance(after, ListMarker) or (after is None and not features.has(Feature.LIST_V2)):
        return await _older(ask, **parameters)
    try:
        answer = await ask("ListObjectsV2", **parameters)
    except StorageError as error:
        if after is not None or not _may_be_the_form(error, parameters.get("Prefix", "")):
            raise
        try:
            answer = await _older(ask, **parameters)
        except StorageError:
            raise error from error.__cause__
        features.lacks(Feature.LIST_V2, error.detail)
        return answer
    if not answer.get("IsTruncated") or answer.get("NextContinuationToken"):
        return answer
    if after is not None:
        raise StorageFailure("storage does not tell the rest of its listing")
    features.lacks(Feature.LIST_V2, "the answer is in the form of ListObjects")
    return _translated(answer)


async def _older(ask: Ask, **parameters: Any) -> Answer:
    marker = parameters.pop("ContinuationToken", None)
    after = {} if marker is None else {"Marker": str(marker)}
    answer = _translated(await ask("ListObjects", **parameters, **after))
    if marker is not None:  # some stores repeat the directory that the marker names
        found = answer.get("CommonPrefixes", ())
        answer["CommonPrefixes"] = [line for line in found if line["Prefix"] != marker]
    return answer


def _translated(answer: Answer) -> Answer:
    if answer.get("IsTruncated"):
        # stores report NextMarker only with a delimiter
        answer["NextContinuationToken"] = ListMarker(answer.get("NextMarker") or last_name(answer))
    return answer


def last_name(answer: Answer) -> str | None:
    """Return the last key or common prefix of a page, in S3's order; None for an empty page."""
    lasts: list[str] = [line["Key"] for line in answer.get("Contents", ())[-1:]]
    lasts += [line["Prefix"] for line in answer.get("CommonPrefixes", ())[-1:]]
    return max(lasts, key=lambda name: name.encode("utf-8"), default=None)


def _may_be_the_form(error: StorageError, prefix: str) -> bool:
    """Whether the store may have refused the version of the request. Stores reply 400 also to prefixes
    without a slash at their end."""
    request_error = request_error_behind(error)
    if request_error is None or request_error.meaning.retry is not RetryAdvice.NEVER:
        return False
    return has_status(error, 405, 501) or (has_status(error, 400) and (not prefix or prefix.endswith("/")))
