"""Prices of S3 requests: S3 Standard, us-east-1, list prices in dollars, without transfer and storage."""

from __future__ import annotations

from collections.abc import Mapping

_WRITE = 0.005 / 1000
_READ = 0.0004 / 1000
_FREE = 0.0

_PRICES = {
    "GetObject": _READ,
    "HeadObject": _READ,
    "HeadBucket": _READ,
    "GetObjectTagging": _READ,
    "DeleteObject": _FREE,
    "DeleteObjects": _FREE,
    "AbortMultipartUpload": _FREE,
}


def dollars(requests: Mapping[str, int]) -> float:
    """The price in dollars of requests by API. An API that is not known to be cheaper costs as much as PUT,
    COPY, POST and LIST."""
    return sum(count * _PRICES.get(api, _WRITE) for api, count in requests.items())
