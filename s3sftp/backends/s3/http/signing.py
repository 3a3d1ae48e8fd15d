"""Signs requests with AWS Signature Version 4 for S3, in headers. Pure.

The caller passes the time and the credentials.

Source: Amazon S3 API Reference, "Authenticating Requests: Using the Authorization Header".
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, Protocol

from s3sftp.backends.s3.http.response_fields import header_bytes

UNSIGNED: Final = "UNSIGNED-PAYLOAD"
EMPTY: Final = hashlib.sha256(b"").hexdigest()
_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_UNSIGNED_HEADERS: Final = frozenset({"user-agent", "accept-encoding"})
"""Headers that proxies on the way may change."""


class FrozenCredentials(Protocol):
    """botocore's frozen credentials."""

    access_key: str
    secret_key: str
    token: str | None


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs requests for one service in one region."""

    region: str
    service: str

    def sign(
        self,
        method: str,
        path: str,
        query: str,
        headers: dict[str, str],
        payload: str,
        credentials: FrozenCredentials,
        now: datetime,
    ) -> None:
        """Add the signature to the headers.

        `path` and `query` are as they are sent: percent-encoded, the query's fields sorted by name. `headers`
        have lower-case names and include `host`. `payload` is the SHA-256 of the body, or UNSIGNED.
        """
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        headers["x-amz-date"] = stamp
        headers["x-amz-content-sha256"] = payload
        if credentials.token:
            headers["x-amz-security-token"] = credentials.token
        names = sorted(headers.keys() - _UNSIGNED_HEADERS)
        signed = ";".join(names)
        lines = "".join(f"{name}:{_trimmed(headers[name])}\n" for name in names)
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{signed}\n{payload}"
        scope = f"{stamp[:8]}/{self.region}/{self.service}/aws4_request"
        text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(header_bytes(canonical)).hexdigest()}"
        key = _signing_key(credentials.secret_key, stamp[:8], self.region, self.service)
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        headers["authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={signed},"
            f" Signature={signature}"
        )


def _trimmed(value: str) -> str:
    """Collapse runs of spaces; spaces outside of ASCII do not count."""
    return " ".join(value.split() if value.isascii() else [word for word in value.split(" ") if word])


@lru_cache(maxsize=4)
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    """Derive the key for signatures of one day."""
    key = f"AWS4{secret}".encode()
    for word in (day, region, service, "aws4_request"):
        key = hmac.digest(key, word.encode(), "sha256")
    return key
