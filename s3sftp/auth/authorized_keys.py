"""Parses public keys: lines in OpenSSH's authorized_keys format, and keys as partners send them.

    from="10.0.0.0/8,!10.0.0.9",expiry-time="20271231" ssh-ed25519 AAAA… comment

`from` and `expiry-time` are enforced, and `cert-authority` with `principals` makes the key a CA. `restrict`
and the `no-*` options only remove what this server never grants. Any other option makes its key unusable: to
ignore the option might admit somebody whom the line is meant to keep out. Blocks in RFC 4716 format and PEM
public keys are accepted too. Each unusable entry is reported with its line and a correction, and the other
keys are used.
"""

from __future__ import annotations

import binascii
import hashlib
import re
import shlex
from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import asyncssh
from pydantic import Base64Bytes

from s3sftp.auth.address_patterns import AllowedSources
from s3sftp.auth.key_entries import (
    KEY_START,
    KeyEntry,
    UnusableKey,
    decode_key_text,
    key_entries,
    leading_name,
)
from s3sftp.auth.key_options import restrictions
from s3sftp.auth.login_time import login_time

_KEY_TYPES = frozenset(
    {
        "ssh-ed25519",
        "ssh-ed448",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    }
)
_UNCOMPRESSED = b"\4"
"""How the point of an ECDSA key begins in the one form that OpenSSH reads: type, curve, point (RFC 5656, 3.1;
SEC 1, 2.3.3)."""
_MIN_RSA_BITS, _MAX_RSA_BITS = 2048, 16384
_OPTIONS = re.compile(
    r"[a-z-]{2,24} *=(?!=|$)"
    r"|(restrict|cert-authority|(no-)?pty|(no-)?[a-z0-9]+-(forwarding|rc)|(no-touch|verify)-required)\b",
    re.IGNORECASE,
)
"""Matches the beginning of a line of options."""
_BARE_KEY = re.compile(r"AAAA[A-Za-z0-9+/]+={0,2}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{16,}={0,2}")
_QUOTES = "\"'`\u2018\u2019\u201a\u201c\u201d\u201e\xab\xbb"
_KNOWN_HOSTS = re.compile(
    r"(@[a-z-]+[ \t]+)?(\|1\|\S+|(\[|[^\s=\"]*[.:])[^\s=\"]*)"
    r"[ \t]+(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+[ \t]+AAAA.*"
)
"""Matches a host name, an address or a hash of them before a key, as in known_hosts."""
_SSH_1 = re.compile(r"\d+[ \t]+\d+[ \t]+\d+([ \t].*)?")
_ASK = "ask for a new one, made by: ssh-keygen -t ed25519"
_SHOULD_STAY = "it should never have been sent: whoever has the file has the key"
_DAMAGED = "copied in part, or changed on the way: ask for the file of the public key, not its text"


@dataclass(frozen=True, slots=True)
class AuthorizedKey:
    """A key that opens an account, optionally only from some addresses or until some time."""

    public_data: Base64Bytes
    sources: tuple[AllowedSources, ...] = ()
    """Every one of them has to allow the address."""
    expires: datetime | None = None
    is_authority: bool = False
    """A CA: it opens no account by itself, but its certificates do."""
    principals: tuple[str, ...] = ()
    """The principals of which a CA's certificate needs one; empty: the user's name."""

    @property
    def algorithm(self) -> str:
        """The name of the key's type, such as `ssh-ed25519`: the first text of its data (RFC 4253, 6.6)."""
        return leading_name(self.public_data)

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it: `SHA256:…`."""
        digest = hashlib.sha256(self.public_data).digest()
        return "SHA256:" + b64encode(digest).decode("ascii").rstrip("=")

    def opens(self, key: asyncssh.SSHKey, address: str, now: datetime) -> bool:
        """Whether this entry accepts the key from `address` at `now`."""
        return not self.is_authority and self.public_data == key.public_data and self.holds(address, now)

    def holds(self, address: str, now: datetime) -> bool:
        """Whether the entry has not expired and allows the address."""
        if self.expires is not None and now >= self.expires:
            return False
        return all(sources.allow(address) for sources in self.sources)


def any_opens(keys: Iterable[AuthorizedKey], key: asyncssh.SSHKey, address: str) -> bool:
    """Whether one of the entries accepts the key from `address` at the time of the login."""
    now = login_time()
    return any(entry.opens(key, address, now) for entry in keys)


@dataclass(frozen=True, slots=True)
class KeyProblem:
    """An entry that cannot be used. Holds none of the entry's content."""

    line: int
    problem: str
    advice: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.problem}" + (f"; {self.advice}" if self.advice else "")


@dataclass(frozen=True, slots=True)
class FoundKeys:
    """The keys and problems found in a text or file."""

    keys: tuple[AuthorizedKey, ...]
    problems: tuple[KeyProblem, ...]


def keys_in(content: str | bytes, file: str = "FILE") -> FoundKeys:
    """All usable keys, and why the other entries cannot be used. `file` appears in the suggested conversion
    commands."""
    keys: list[AuthorizedKey] = []
    problems: list[KeyProblem] = []

    def told(line: int, error: UnusableKey) -> None:
        problems.append(KeyProblem(line, error.problem, error.advice.format(file=shlex.quote(file))))

    try:
        text = decode_key_text(content) if isinstance(content, bytes) else content
    except UnusableKey as error:
        told(1, error)
        return FoundKeys((), tuple(problems))
    restricted = False
    found, at = list(key_entries(text)), 0
    while at < len(found):
        entry, after = found[at], found[at + 1] if at + 1 < len(found) else None
        at += 1
        try:
            if restricted:
                # without this error, a line broken in two would open the account without its restrictions
                raise UnusableKey("behind a line of options that has no key", "write both on one line")
            key, left, took_next = _key_of(entry, after)
            keys.append(key)
            at += took_next
            if left:
                told(entry.line + 1, UnusableKey("a part of a key, without what stands before it", _DAMAGED))
        except UnusableKey as error:
            told(entry.line, error)
            restricted = _is_options_alone(entry) and not restricted
        else:
            restricted = False
    return FoundKeys(tuple(keys), tuple(problems))


def _is_options_alone(entry: KeyEntry) -> bool:
    """Whether a line that is no key begins with options, for a key that may be on the next line."""
    return not entry.block and bool(_OPTIONS.match(entry.text)) and not KEY_START.search(entry.text)


def _key_of(entry: KeyEntry, after: KeyEntry | None) -> tuple[AuthorizedKey, str, bool]:
    """The key, the rest of the entry that does not belong to it, and whether the next entry belongs to it
    (its comment aside).

    If a line alone is no key, the lines that a mail program may have wrapped are joined.
    """
    if entry.block:
        return _key_of_block(entry), "", False
    try:
        return parse_line(entry.text), entry.continued, False
    except UnusableKey as error:
        unusable = error
    joined = entry.text + entry.continued
    if entry.continued:
        try:
            return parse_line(joined), "", False
        except UnusableKey as error:
            unusable = error
    last = after.last_part if after is not None and after.line == entry.next_line else ""
    # padding ends every key, and the library would ignore anything after it
    if last and not joined.endswith("="):
        with suppress(UnusableKey):
            return parse_line(joined + last), "", True
    raise unusable


def _key_of_block(entry: KeyEntry) -> AuthorizedKey:
    _refuse_what_is_no_public_key(entry.block)
    if not entry.whole:
        raise UnusableKey(f"the END line of the {entry.block} is missing", _DAMAGED)
    return AuthorizedKey(_public_data(entry.text))


def _refuse_what_is_no_public_key(block: str) -> None:
    if block == "PPK":
        raise UnusableKey(
            "a private key in PuTTY's format",
            f"{_SHOULD_STAY}. Its public half: puttygen {{file}} -O public-openssh -o {{file}}.pub",
        )
    if "PRIVATE KEY" in block:
        raise UnusableKey(
            f"a private key ({block})",
            f"{_SHOULD_STAY}. Its public half: ssh-keygen -y -f {{file}} > {{file}}.pub",
        )
    if "CERTIFICATE REQUEST" in block:
        raise UnusableKey("a certificate request", "its key: openssl req -in {file} -noout -pubkey")
    if "CERTIFICATE" in block:
        raise UnusableKey(
            "an X.509 certificate; certificates are not supported",
            "its key: openssl x509 -in {file} -noout -pubkey > {file}.pub",
        )
    if block.startswith("PGP"):
        raise UnusableKey("a PGP key, not one of SSH", _ASK)
    if not block.endswith("PUBLIC KEY"):
        raise UnusableKey(f"a {block}, not a public key", _ASK)


def parse_line(line: str) -> AuthorizedKey:
    """Parse one line.

    Raises UnusableKey: (a ValueError) if the line has no usable key; the text says why.
    """
    line = line.strip()
    _refuse_other_formats(line)
    first = line.split(maxsplit=1)[0] if line else ""
    if first in _KEY_TYPES:
        return AuthorizedKey(_public_data(line))
    if _BARE_KEY.fullmatch(line):
        return AuthorizedKey(_public_data(f"{_type_of(line)} {line}"))
    if _BASE64.fullmatch(first):
        raise UnusableKey("a part of a key, without what stands before it", _DAMAGED)
    try:
        options, key = restrictions(line)
    except ValueError as error:
        raise UnusableKey(str(error)) from None
    return AuthorizedKey(
        _public_data(key), options.sources, options.expires, options.is_authority, options.principals
    )


def _refuse_other_formats(line: str) -> None:
    first = line.split(maxsplit=1)[0] if line else ""
    if first == "ssh-dss":
        raise UnusableKey("a DSA key (ssh-dss): not supported, as it is too short to be safe", _ASK)
    if line.startswith(tuple(_QUOTES)):
        raise UnusableKey("in quotes", "remove the quotes")
    if first not in _KEY_TYPES and first.lower() in _KEY_TYPES:
        raise UnusableKey("the key type has capital letters", f"write {first.lower()}")
    if _KNOWN_HOSTS.fullmatch(line):
        raise UnusableKey("a line of known_hosts", "remove what stands before the key type")
    if "-cert-v01@" in first:
        raise UnusableKey(
            "a certificate", "use the key that it is for; or trust its CA, by auth.trusted_user_ca_keys"
        )
    if line.startswith("--") and "END " in line:
        raise UnusableKey("the end of a key, without its beginning", _DAMAGED)
    if _SSH_1.fullmatch(line):
        raise UnusableKey("a key of SSH version 1", _ASK)


def _public_data(text: str) -> bytes:
    """The public key in `type base64 comment`, or in a block.

    Raises UnusableKey: if it cannot be decoded.
    """
    if not text.startswith("-"):
        text = " ".join(text.split()[:2])
        _refuse_other_formats(text)
    try:
        key = asyncssh.import_public_key(text.encode("ascii", "replace"))
    except Exception:  # the library parses untrusted bytes, and its messages may contain some of them
        raise UnusableKey("not a public key", _DAMAGED) from None
    check_key(key)
    return key.public_data


def check_key(key: asyncssh.SSHKey) -> None:
    """Return if a user's key or a CA's is of a supported type and length.

    Raises UnusableKey: otherwise.
    """
    kind = key.get_algorithm()
    if kind not in _KEY_TYPES:
        raise UnusableKey(f"keys of type {kind} are not supported", _ASK)
    if "ecdsa-" in kind and not _fields(key)[2].startswith(_UNCOMPRESSED):
        # the same key would have a second form, with another fingerprint, which no list of revoked keys has
        raise UnusableKey("an ECDSA key with a compressed point, which is not supported", _ASK)
    bits = _rsa_bits(key)
    if bits is not None and bits < _MIN_RSA_BITS:
        raise UnusableKey(f"an RSA key of {bits} bits is too short; {_MIN_RSA_BITS} are the least", _ASK)
    if bits is not None and bits > _MAX_RSA_BITS:
        raise UnusableKey(f"an RSA key of {bits} bits is too long; {_MAX_RSA_BITS} are the most", _ASK)


def _type_of(bare_key: str) -> str:
    """The type encoded in the base64 of a key; empty if there is none."""
    head = bare_key[:88]
    try:
        data = binascii.a2b_base64(head[: len(head) // 4 * 4])
        return data[4 : 4 + int.from_bytes(data[:4], "big")].decode("ascii")
    except ValueError:
        return ""


def _rsa_bits(key: asyncssh.SSHKey) -> int | None:
    """The length of an RSA key's modulus, from its public half: type, exponent, modulus (RFC 4253, 6.6)."""
    if key.get_algorithm() != "ssh-rsa":
        return None
    return int.from_bytes(_fields(key)[2], "big").bit_length()


def _fields(key: asyncssh.SSHKey) -> list[bytes]:
    """The parts of a public key's data, the first of which is its type."""
    data = key.public_data
    fields = []
    while data:
        length = int.from_bytes(data[:4], "big")
        fields.append(data[4 : 4 + length])
        data = data[4 + length :]
    return fields
