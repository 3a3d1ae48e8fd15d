"""Verification codes that change every 30 seconds (TOTP, RFC 6238): HMAC-SHA-1, six digits, as every
authenticator app has them by default. Pure: no clock.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from urllib.parse import quote

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

STEP_SECONDS = 30
_DIGITS = 6
_DRIFT_STEPS = 1
"""A code of the step before or after counts too, for clocks that differ and people who type slowly."""
_LEAST_BYTES = 16
_NEW_BYTES = 20
_MOST_CHARS = 256
_CODE = re.compile(r"[0-9]{6}")


def new_secret() -> str:
    """A random secret of 160 bits, as RFC 4226 (section 4, R6) recommends, in base32."""
    return base64.b32encode(secrets.token_bytes(_NEW_BYTES)).decode("ascii")


def checked_secret(text: str) -> str:
    """A secret in upper case without spaces and padding, which some apps show.

    Raises ValueError: if it is not base32, or shorter than the 128 bits of RFC 4226 (section 4, R6). The text
    is not repeated.
    """
    plain = re.sub(r"[ -]", "", text).upper().rstrip("=")
    try:
        key = _key(plain[:_MOST_CHARS])
    except ValueError:
        raise ValueError(
            "should be base32 (letters, and digits from 2 to 7); `s3sftp totp-secret` makes one"
        ) from None
    if len(key) < _LEAST_BYTES or len(plain) > _MOST_CHARS:
        raise ValueError("should be 26 to 256 base32 characters; `s3sftp totp-secret` makes one")
    return plain


def step_of(secret: str, code: str, seconds: float) -> int | None:
    """The time step whose code this is, in units of 30 s since 1970; None if it is not valid at this time.

    `seconds` are those since 1970. All valid codes are compared, each in constant time.
    """
    text = re.sub(r"[ -]", "", code)
    given = text if _CODE.fullmatch(text) else ""
    totp = TOTP(_key(secret), _DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303 (what apps use; HMAC is not affected)
    now = int(seconds) // STEP_SECONDS
    found = None
    for step in range(now - _DRIFT_STEPS, now + _DRIFT_STEPS + 1):
        if hmac.compare_digest(totp.generate(step * STEP_SECONDS), given.encode("ascii")):
            found = step
    return found


def provisioning_uri(secret: str, user: str, issuer: str) -> str:
    """The `otpauth://` URI that authenticator apps take, usually as a QR code."""
    label = f"{quote(issuer, safe='')}:{quote(user, safe='')}"
    return f"otpauth://totp/{label}?secret={secret}&issuer={quote(issuer, safe='')}"


def _key(secret: str) -> bytes:
    return base64.b32decode(secret + "=" * (-len(secret) % 8))
