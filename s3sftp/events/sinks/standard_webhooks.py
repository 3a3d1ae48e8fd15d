"""Signs requests as the Standard Webhooks specification says (version 1, symmetric). Pure.

webhook-id           the same for every attempt
webhook-timestamp    seconds since 1970, of the attempt
webhook-signature    v1,<base64 of HMAC-SHA256 of `id.timestamp.body`>, one for each secret, by spaces
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

_PREFIX = b"whsec_"
_MIN_SECRET_BYTES, _MAX_SECRET_BYTES = 24, 64


def secret_in(data: bytes) -> bytes:
    """The secret in the content of a file.

    Raises ValueError: if there is none; the text does not repeat it.
    """
    try:
        secret = base64.b64decode(data.strip().removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        secret = b""
    if not _MIN_SECRET_BYTES <= len(secret) <= _MAX_SECRET_BYTES:
        raise ValueError(
            "should be `whsec_` and the base64 of 24 to 64 bytes, as `echo whsec_$(openssl rand -base64 32)`"
            " makes"
        )
    return secret


def webhook_headers(identifier: str, now: int, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """The headers of a request; without secrets, it is not signed. `now` is in seconds since 1970."""
    headers = {"webhook-id": identifier, "webhook-timestamp": str(now)}
    if secrets:
        signed = f"{identifier}.{now}.".encode() + body
        digests = (hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets)
        headers["webhook-signature"] = " ".join(f"v1,{base64.b64encode(each).decode()}" for each in digests)
    return headers
