r"""Places and keys: which object a name stands for, and back.

SFTP names are bytes; S3 keys are Unicode text, and stores rewrite or refuse some of it. A name's bytes go
into the key as they are where that is safe, else each byte `b` becomes the private character U+F700+b:

    café.txt        café.txt
    caf\xe9.txt     caf<U+F7E9>.txt          not UTF-8
    a\b             a<U+F75C>b               some stores take a backslash for a slash (option `backslash`)
    a<LF>b          a<U+F70A>b               XML cannot carry control characters
    <U+F7E9>        <U+F7EF><U+F79F><U+F7A9> itself in the range: its bytes, so that no two names meet

The mapping is a bijection between names and the keys that come back as themselves; another key (one with
`//`, a name `..`, or a spelling that this mapping would not have chosen) is no name's and stays invisible.
"""

from __future__ import annotations

import re
from typing import Final

from s3sftp.backends.contract import Place
from s3sftp.errors import InvalidRequest, NotFound, PermissionDenied, StorageError

MAX_KEY_BYTES = 1024
RESERVED: Final = b".s3sftp"
"""The name below the prefix that is the server's own: users neither see nor reach what is there."""
_FIRST = 0xF700
_UNSAFE = "\x00-\x1f\x7f\ufffe\uffff\uf700-\uf7ff"
_ESCAPED = re.compile("[\uf700-\uf7ff]+")
_FOREIGN = re.compile("[\udc80-\udcff]")


class KeyMapping:
    """The mapping under one prefix. Pure."""

    def __init__(self, prefix: str = "", *, escape_backslash: bool = True) -> None:
        self.prefix = prefix
        self._unsafe = re.compile(f"[{_UNSAFE}{chr(92) * 2 if escape_backslash else ''}]")

    def key_of(self, place: Place) -> str:
        """The key of a file. Raises InvalidRequest when S3 could not hold it, NotFound when it is ours."""
        _refuse_reserved(place, NotFound)
        return _checked(self.prefix + "/".join(map(self.text_of, place.names)))

    def prefix_of(self, place: Place) -> str:
        """What the keys below a directory begin with: its marker's key; for the root the prefix itself."""
        if place.is_root:
            return self.prefix
        _refuse_reserved(place, NotFound)
        return _checked(self.prefix + "/".join(map(self.text_of, place.names)) + "/")

    def refuse_to_make(self, place: Place) -> None:
        """Raise PermissionDenied for a name that nobody may make anything of."""
        _refuse_reserved(place, PermissionDenied)

    def is_reserved(self, key: str) -> bool:
        """Whether a key, or what a listing tells instead of many, is the server's own."""
        return key.removesuffix("/") == self.prefix + RESERVED.decode()

    def name_of(self, key: str, prefix: str) -> bytes | None:
        """The name of a key directly below `prefix` (a slash at its end is a directory's); None: no name."""
        text = key.removeprefix(prefix).removesuffix("/")
        if not key.startswith(prefix) or "/" in text:
            return None
        name = _ESCAPED.sub(_unescape, text).encode("utf-8", "surrogateescape")
        if name in (b"", b".", b"..") or b"/" in name or b"\0" in name or self.text_of(name) != text:
            return None
        return name

    def text_of(self, name: bytes) -> str:
        """One name as it stands in a key."""
        text = name.decode("utf-8", "surrogateescape")
        text = self._unsafe.sub(lambda found: _escape(found.group().encode()), text)
        return _FOREIGN.sub(_escape_foreign, text)


def reserved_prefix(prefix: str) -> str:
    """What the server's own keys begin with."""
    return f"{prefix}{RESERVED.decode()}/"


def _refuse_reserved(place: Place, error: type[StorageError]) -> None:
    if place.names[:1] == (RESERVED,):
        raise error


def _escape(raw: bytes) -> str:
    return "".join(chr(_FIRST + byte) for byte in raw)


def _escape_foreign(found: re.Match[str]) -> str:
    """A byte that was not UTF-8 (Python's surrogate escape) as its private character."""
    return chr(_FIRST + ord(found.group()) - 0xDC00)


def _unescape(found: re.Match[str]) -> str:
    raw = bytes(ord(character) - _FIRST for character in found.group())
    return raw.decode("utf-8", "surrogateescape")


def _checked(key: str) -> str:
    if len(key.encode("utf-8")) > MAX_KEY_BYTES:
        raise InvalidRequest(f"path too long (max {MAX_KEY_BYTES} bytes of key)")
    return key
