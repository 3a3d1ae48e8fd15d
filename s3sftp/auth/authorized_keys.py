"""Lines of OpenSSH's authorized_keys format.

    from="10.0.0.0/8,!10.0.0.9",expiry-time="20271231" ssh-ed25519 AAAA… comment

`from` and `expiry-time` are honoured. `restrict` and the `no-*` family only take away what this server
never gives. Any other option is refused when the server starts: to ignore one would be to let in
somebody whom the line wants to keep out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncssh

from s3sftp.auth.sources import AllowedSources

_HARMLESS = frozenset(
    {"restrict", "no-pty", "no-port-forwarding", "no-agent-forwarding", "no-x11-forwarding", "no-user-rc"}
)
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
_MIN_RSA_BITS = 2048
_EXPIRY = re.compile(r"(\d{8})(\d{4}(?:\d{2})?)?(Z?)")
_EXPIRY_FORMATS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


@dataclass(frozen=True, slots=True)
class AuthorizedKey:
    """A key that opens an account, perhaps only from some addresses or for some time."""

    public_data: bytes
    sources: tuple[AllowedSources, ...] = ()
    """All of them have to allow the address."""
    expires: datetime | None = None

    def opens(self, key: asyncssh.SSHKey, address: str, now: datetime) -> bool:
        """Whether this entry lets the key in from `address` at `now`."""
        if self.public_data != key.public_data:
            return False
        if self.expires is not None and now >= self.expires:
            return False
        return all(sources.allow(address) for sources in self.sources)


def parse_lines(lines: Iterable[str]) -> list[AuthorizedKey]:
    """Read every line that is not blank or a comment. Raises ValueError that names the first bad one."""
    keys = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            keys.append(parse_line(text))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return keys


def parse_line(line: str) -> AuthorizedKey:
    """Read one line. Raises ValueError that says what cannot be used."""
    line = line.strip()
    if line.partition(" ")[0] in _KEY_TYPES:
        return AuthorizedKey(_public_data(line))
    options, key = _split(line)
    sources: list[AllowedSources] = []
    expires: datetime | None = None
    for name, value in options:
        if name == "from" and value is not None:
            sources.append(AllowedSources(value))
        elif name == "expiry-time" and value is not None:
            moment = _expiry(value)
            expires = moment if expires is None else min(expires, moment)
        elif not (name in _HARMLESS and value is None) and (name, value) != ("command", "internal-sftp"):
            raise ValueError(f"the option '{name}' is not supported; supported: from, expiry-time, restrict")
    return AuthorizedKey(_public_data(key), tuple(sources), expires)


def _public_data(text: str) -> bytes:
    try:
        key = asyncssh.import_public_key(text)
    except (asyncssh.KeyImportError, ValueError) as error:
        raise ValueError(f"not a public key ({error})") from None
    if key.get_algorithm() not in _KEY_TYPES:
        raise ValueError(f"keys of type {key.get_algorithm()} are not supported")
    bits = _rsa_bits(key)
    if bits is not None and bits < _MIN_RSA_BITS:
        raise ValueError(f"an RSA key of {bits} bits is too short; {_MIN_RSA_BITS} are the least")
    return key.public_data


def _rsa_bits(key: asyncssh.SSHKey) -> int | None:
    """Length of an RSA key's modulus, read from its public half: type, exponent, modulus (RFC 4253, 6.6)."""
    if key.get_algorithm() != "ssh-rsa":
        return None
    data = key.public_data
    fields = []
    while data:
        length = int.from_bytes(data[:4], "big")
        fields.append(data[4 : 4 + length])
        data = data[4 + length :]
    return int.from_bytes(fields[2], "big").bit_length()


def _split(line: str) -> tuple[list[tuple[str, str | None]], str]:
    """Cut a line into its options (names in lower case) and the key after them."""
    end = _end_of_options(line)
    options = []
    for text in _at_commas(line[:end]):
        name, equals, value = text.partition("=")
        options.append((name.strip().lower(), _unquoted(value) if equals else None))
    return options, line[end:].strip()


def _end_of_options(line: str) -> int:
    quoted = False
    for index, char in enumerate(line):
        if char == '"' and line[index - 1 : index] != "\\":
            quoted = not quoted
        elif char in " \t" and not quoted:
            return index
    raise ValueError("a quote is not closed" if quoted else "there is no key")


def _at_commas(text: str) -> Iterator[str]:
    quoted, start = False, 0
    for index, char in enumerate(text):
        if char == '"' and text[index - 1 : index] != "\\":
            quoted = not quoted
        elif char == "," and not quoted:
            yield text[start:index]
            start = index + 1
    yield text[start:]


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        raise ValueError("the value of an option should be in double quotes")
    return value[1:-1].replace('\\"', '"')


def _expiry(value: str) -> datetime:
    """A date or time as OpenSSH writes it, taken as UTC: YYYYMMDD[HHMM[SS]][Z]."""
    match = _EXPIRY.fullmatch(value)
    if match is None:
        raise ValueError(f"expiry-time: {value!r} should be YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, in UTC")
    digits = match[1] + (match[2] or "")
    try:
        return datetime.strptime(digits, _EXPIRY_FORMATS[len(digits)]).replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"expiry-time: {value!r} is no date") from None
