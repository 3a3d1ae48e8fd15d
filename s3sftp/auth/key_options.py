"""Parses the options before a key in an authorized_keys line: enforced, without effect here, or refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from s3sftp.auth.address_patterns import AllowedSources

_HARMLESS = frozenset(
    {"restrict", "no-pty", "no-port-forwarding", "no-agent-forwarding", "no-x11-forwarding", "no-user-rc"}
)
_OPTION_NAME = re.compile(r"[A-Za-z][A-Za-z-]{0,23}")
_EXPIRY = re.compile(r"(\d{8})(\d{4}(?:\d{2})?)?(Z?)")
_EXPIRY_FORMATS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


@dataclass(frozen=True, slots=True)
class KeyRestrictions:
    """What the options of a line mean for its key."""

    sources: tuple[AllowedSources, ...]
    """Every one of them has to allow the client's address."""
    expires: datetime | None
    is_authority: bool
    """The key is that of a CA."""
    principals: tuple[str, ...]
    """Only for a CA: the principals of which a certificate needs one; empty for the user's name."""


def restrictions(line: str) -> tuple[KeyRestrictions, str]:
    """Split a line into what its options mean, and the key after them.

    Raises ValueError: for an option that this server would have to ignore.
    """
    options, key = _split(line)
    sources: list[AllowedSources] = []
    expires: datetime | None = None
    is_authority = ("cert-authority", None) in options
    principals: tuple[str, ...] = ()
    for name, value in options:
        if name == "from" and value is not None:
            sources.append(_sources(value))
        elif name == "expiry-time" and value is not None:
            moment = _expiry(value)
            expires = moment if expires is None else min(expires, moment)
        elif name == "principals" and value is not None and is_authority:
            principals = (*principals, *_principals(value))
        elif name == "cert-authority" and value is None:
            continue
        elif not (name in _HARMLESS and value is None) and (name, value) != ("command", "internal-sftp"):
            # text that is no option name may be part of a private key
            shown = f"the option '{name}'" if _OPTION_NAME.fullmatch(name) else "what stands before the key"
            raise ValueError(
                f"{shown} is not supported;"
                " supported: from, expiry-time, restrict, cert-authority, principals"
            )
    return KeyRestrictions(tuple(sources), expires, is_authority, principals), key


def _principals(value: str) -> tuple[str, ...]:
    names = tuple(value.split(","))
    if not all(names):
        raise ValueError(f"principals: {value!r} should be names with commas between them")
    return names


def _split(line: str) -> tuple[list[tuple[str, str | None]], str]:
    """Split a line into its options (names in lower case) and the key after them."""
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


def _sources(value: str) -> AllowedSources:
    try:
        return AllowedSources(value)
    except ValueError as error:
        raise ValueError(f"from: {error}") from None


def _expiry(value: str) -> datetime:
    """A date or time in OpenSSH's format, as UTC: YYYYMMDD[HHMM[SS]][Z]."""
    match = _EXPIRY.fullmatch(value)
    if match is None:
        raise ValueError(f"expiry-time: {value!r} should be YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, in UTC")
    digits = match[1] + (match[2] or "")
    try:
        return datetime.strptime(digits, _EXPIRY_FORMATS[len(digits)]).replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"expiry-time: {value!r} is no date") from None
