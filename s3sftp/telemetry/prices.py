"""What requests cost: S3 Standard, us-east-1, list prices in dollars. Transfer and storage are not in it."""

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
    """Price of requests by API. What is not known to be cheaper costs what PUT, COPY, POST and LIST do."""
    return sum(count * _PRICES.get(api, _WRITE) for api, count in requests.items())
