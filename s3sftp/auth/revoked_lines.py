"""Parses lists of what is revoked as lines of text: public keys, and what `ssh-keygen -k` takes. Pure.

ssh-ed25519 AAAA… comment         a key, or a CA, or a certificate: by its serial number, else its key ID
serial: 7        serial: 10-20    certificates of any CA
id: alice@laptop                  certificates of any CA
key: …  sha256: …  sha1: …        a key (the prefixes say how ssh-keygen would store it)
hash: SHA256:…                    a key by the fingerprint of `ssh-keygen -l`
# comment
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping

from asyncssh.public_key import decode_ssh_public_key

from s3sftp.auth.certificates import is_certificate, parse_certificate
from s3sftp.auth.key_entries import KEY_START, UnusableKey, decode_key_text
from s3sftp.auth.revocations import ANY_AUTHORITY, BadRevocations, Revocations, RevocationsBuilder
from s3sftp.errors import LoginRefused

_PREFIXED = re.compile(r"(serial|id|key|sha1|sha256|hash):\s*(.*)", re.IGNORECASE)
_NUMBER = r"(0[xX][0-9a-fA-F]+|[0-9]+)"
_SERIALS = re.compile(rf"{_NUMBER}(?:\s*-\s*{_NUMBER})?")
_FINGERPRINT = re.compile(r"SHA256:([A-Za-z0-9+/]{43})=?")


def parse_revoked_lines(data: bytes) -> Revocations:
    """What the lines revoke.

    Raises BadRevocations: if a line is neither empty, a comment, nor one of the forms above; says which line.
    """
    found = RevocationsBuilder()
    try:
        text = decode_key_text(data)
    except UnusableKey as error:
        raise BadRevocations(str(error)) from None
    for number, line in enumerate(text.splitlines(), 1):
        # as ssh-keygen does it: the rest of any line is a comment
        if entry := line.partition("#")[0].strip():
            try:
                _revoke(entry, found)
            except BadRevocations as error:
                raise BadRevocations(f"line {number}: {error}") from None
    return found.build()


def _revoke(entry: str, found: RevocationsBuilder) -> None:
    if (prefixed := _PREFIXED.fullmatch(entry)) is not None:
        _FORMS[prefixed[1].lower()](prefixed[2].strip(), found)
    else:
        _revoke_key(entry, found)


def _revoke_serials(text: str, found: RevocationsBuilder) -> None:
    if (match := _SERIALS.fullmatch(text)) is None:
        raise BadRevocations(f"serial: {text!r} should be a number, or two with '-' between them")
    first = _number(match[1])
    if first == 0:
        raise BadRevocations(
            "serial: 0 is what certificates without a serial number have; revoke them by id:"
        )
    found.serials(ANY_AUTHORITY, first, _number(match[2]) if match[2] else first)


def _number(text: str) -> int:
    return int(text, 16 if text[:2].lower() == "0x" else 10)


def _revoke_key_id(text: str, found: RevocationsBuilder) -> None:
    if not text:
        raise BadRevocations("id: has no key ID")
    found.key_id(ANY_AUTHORITY, text)


def _revoke_digest(text: str, found: RevocationsBuilder) -> None:
    if (match := _FINGERPRINT.fullmatch(text)) is None:
        raise BadRevocations("hash: should be a fingerprint such as SHA256:…, as ssh-keygen -l shows it")
    found.digest(binascii.a2b_base64(match[1] + "="))


def _revoke_key(text: str, found: RevocationsBuilder) -> None:
    """Revoke a key or a certificate; options before it do not matter."""
    start = KEY_START.search(text)
    words = text[start.start() :].split() if start else []
    try:
        data = binascii.a2b_base64(words[1], strict_mode=True)
    except (IndexError, ValueError):
        raise BadRevocations("should be a public key, or begin with serial:, id:, key:, or hash:") from None
    if is_certificate(data):
        _revoke_certificate(data, found)
        return
    try:
        found.key(decode_ssh_public_key(data).public_data)
    except Exception:  # the libraries parse bytes of any origin
        raise BadRevocations("a public key that is damaged, or of an unknown type") from None


def _revoke_certificate(data: bytes, found: RevocationsBuilder) -> None:
    try:
        certificate = parse_certificate(data)
    except LoginRefused as error:
        raise BadRevocations(str(error)) from None
    authority = certificate.authority.public_data
    if certificate.serial:
        found.serials(authority, certificate.serial, certificate.serial)
    else:
        found.key_id(authority, certificate.key_id)


_FORMS: Mapping[str, Callable[[str, RevocationsBuilder], None]] = {
    "serial": _revoke_serials,
    "id": _revoke_key_id,
    "hash": _revoke_digest,
    "key": _revoke_key,
    "sha1": _revoke_key,
    "sha256": _revoke_key,
}
