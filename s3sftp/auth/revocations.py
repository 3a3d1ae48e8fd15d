"""What has been revoked: keys, CAs, and certificates by serial number or key ID. Pure.

A Key Revocation List of `ssh-keygen -k` (`krl`) or a list of lines (`revoked_lines`) becomes `Revocations`.
What it revokes, it revokes as OpenSSH's RevokedKeys does: a revoked key opens no account, neither by itself
nor by a certificate for it, and all certificates of a revoked CA are revoked.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from s3sftp.auth.certificates import Certificate

ANY_AUTHORITY = b""
"""Stands for every CA where a CA's public key would stand."""


class BadRevocations(ValueError):
    """A revocation list that cannot be understood, so nobody knows what it revokes."""


@dataclass(frozen=True, slots=True)
class SerialBitmap:
    """Serial numbers from `first` on, one for each bit, the least significant bit of the last byte first."""

    first: int
    bits: bytes

    def __contains__(self, serial: int) -> bool:
        byte, bit = divmod(serial - self.first, 8)
        return 0 <= byte < len(self.bits) and bool(self.bits[-1 - byte] >> bit & 1)


class SerialRanges:
    """Sets of serial numbers that may be large: ranges, including both ends. A lookup is a bisection."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in sorted(ranges):
            if self._lasts and first <= self._lasts[-1] + 1:
                self._lasts[-1] = max(self._lasts[-1], last)
            else:
                self._firsts.append(first)
                self._lasts.append(last)

    def __contains__(self, serial: int) -> bool:
        at = bisect_right(self._firsts, serial) - 1
        return at >= 0 and serial <= self._lasts[at]


@dataclass(frozen=True, slots=True)
class RevokedCertificates:
    """What is revoked of the certificates of one CA."""

    serials: SerialRanges
    bitmaps: tuple[SerialBitmap, ...] = ()
    key_ids: frozenset[str] = frozenset()

    def why(self, certificate: Certificate) -> str | None:
        """Why a certificate of this CA is revoked; None if it is not."""
        if certificate.key_id in self.key_ids:
            return f"certificates with the key ID {certificate.key_id!r} are revoked"
        serial = certificate.serial
        # 0 is what certificates have whose CA gives them no number
        if serial and (serial in self.serials or any(serial in bitmap for bitmap in self.bitmaps)):
            return f"the certificate with the serial number {serial} is revoked"
        return None


@dataclass(frozen=True, slots=True)
class Revocations:
    """Everything that one list revokes."""

    sha256: frozenset[bytes] = frozenset()
    """Digests of revoked public keys."""
    sha1: frozenset[bytes] = frozenset()
    """The same by SHA-1; only lists that were made so have any."""
    certificates: Mapping[bytes, RevokedCertificates] = field(default_factory=dict)
    """By the public key of the CA, or `ANY_AUTHORITY`."""

    def why_key(self, public_data: bytes) -> str | None:
        """Why a public key is revoked; None if it is not."""
        return "the key is revoked" if self._has(public_data) else None

    def why_certificate(self, certificate: Certificate) -> str | None:
        """Why a certificate is revoked; None if it is not."""
        authority = certificate.authority.public_data
        if self._has(certificate.key.public_data):
            return "the key of the certificate is revoked"
        if self._has(authority):
            return "the CA of the certificate is revoked"
        for revoked in (self.certificates.get(authority), self.certificates.get(ANY_AUTHORITY)):
            if revoked is not None and (reason := revoked.why(certificate)) is not None:
                return reason
        return None

    def _has(self, public_data: bytes) -> bool:
        if hashlib.sha256(public_data).digest() in self.sha256:
            return True
        return bool(self.sha1) and _sha1(public_data) in self.sha1


class RevocationsBuilder:
    """Collects what a list revokes."""

    def __init__(self) -> None:
        self._sha256: set[bytes] = set()
        self._sha1: set[bytes] = set()
        self._ranges: dict[bytes, list[tuple[int, int]]] = {}
        self._bitmaps: dict[bytes, list[SerialBitmap]] = {}
        self._key_ids: dict[bytes, set[str]] = {}

    def key(self, public_data: bytes) -> None:
        self._sha256.add(hashlib.sha256(public_data).digest())

    def digest(self, digest: bytes) -> None:
        """Revoke the public key with this SHA-256 or SHA-1 digest.

        Raises BadRevocations: if it has the length of neither.
        """
        match len(digest):
            case 32:
                self._sha256.add(digest)
            case 20:
                self._sha1.add(digest)
            case length:
                raise BadRevocations(f"a fingerprint of {length} bytes")

    def serials(self, authority: bytes, first: int, last: int) -> None:
        """Revoke serial numbers, including both ends.

        Raises BadRevocations: if `last` is before `first`, or is no 64-bit number.
        """
        if not 0 <= first <= last < 1 << 64:
            raise BadRevocations(f"serial numbers from {first} to {last}")
        self._ranges.setdefault(authority, []).append((first, last))

    def bitmap(self, authority: bytes, bitmap: SerialBitmap) -> None:
        self._bitmaps.setdefault(authority, []).append(bitmap)

    def key_id(self, authority: bytes, key_id: str) -> None:
        self._key_ids.setdefault(authority, set()).add(key_id)

    def build(self) -> Revocations:
        """Everything that was added."""
        authorities = {*self._ranges, *self._bitmaps, *self._key_ids}
        return Revocations(
            frozenset(self._sha256),
            frozenset(self._sha1),
            {
                authority: RevokedCertificates(
                    SerialRanges(self._ranges.get(authority, ())),
                    tuple(self._bitmaps.get(authority, ())),
                    frozenset(self._key_ids.get(authority, ())),
                )
                for authority in authorities
            },
        )


def _sha1(data: bytes) -> bytes:
    # identifies a key that is to be refused; what it would take to evade is another key, which opens nothing
    return hashlib.sha1(data, usedforsecurity=False).digest()
