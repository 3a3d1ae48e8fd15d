r"""Maps SFTP names to S3 object keys and back.

SFTP names are bytes. S3 keys are Unicode text, some of which stores rewrite or refuse. The bytes of a name go
into the key unchanged where that is safe; otherwise each byte `b` becomes the private-use character U+F700+b:

    café.txt        café.txt
    caf\xe9.txt     caf<U+F7E9>.txt          not UTF-8
    a\b             a<U+F75C>b               some stores take a backslash for a slash (option `backslash`)
    a<LF>b          a<U+F70A>b               XML cannot carry control characters
    <U+F7E9>        <U+F7EF><U+F79F><U+F7A9> itself in the range: its bytes, so that no two names collide

The mapping is a bijection between names and the keys that map back to themselves. Any other key (one with
`//`, a name `..`, or a spelling that this mapping does not produce) has no name and stays invisible.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from s3sftp.backends.contract import Place
from s3sftp.errors import InvalidRequest, NotFound, PermissionDenied, StorageError

MAX_KEY_BYTES = 1024
RESERVED: Final = b".s3sftp"
"""The name below the prefix that holds the server's own objects. Users neither see nor reach it."""
_REMEMBERED_KEYS: Final = 256
"""Keys that need not be put together again: an operation asks for the key of its file several times."""
_FIRST = 0xF700
_UNSAFE = "\x00-\x1f\x7f\ufffe\uffff\uf700-\uf7ff"
_ESCAPED = re.compile("[\uf700-\uf7ff]+")
_FOREIGN = re.compile("[\udc80-\udcff]")


class KeyMapping:
    """The mapping between names and keys under one prefix. Pure."""

    def __init__(self, prefix: str = "", *, escape_backslash: bool = True) -> None:
        self.prefix = prefix
        self._unsafe = re.compile(f"[{_UNSAFE}{chr(92) * 2 if escape_backslash else ''}]")
        self.key_of: Callable[[Place], str] = lru_cache(maxsize=_REMEMBERED_KEYS)(self._key_of)
        """Return the key of a file.

        Raises InvalidRequest: if the key exceeds 1 024 bytes. Raises NotFound: if the name is reserved.
        """

    def _key_of(self, place: Place) -> str:
        _refuse_reserved(place, NotFound)
        return _checked(self.prefix + "/".join(map(self.text_of, place.names)))

    def prefix_of(self, place: Place) -> str:
        """Return the prefix of all keys below a directory, which is also its marker's key. For the root: the
        prefix.

        Raises InvalidRequest: if the key exceeds 1 024 bytes. Raises NotFound: if the name is reserved.
        """
        if place.is_root:
            return self.prefix
        _refuse_reserved(place, NotFound)
        return _checked(self.prefix + "/".join(map(self.text_of, place.names)) + "/")

    def refuse_to_make(self, place: Place) -> None:
        """Raise PermissionDenied if the name is reserved, so that no user can create it."""
        _refuse_reserved(place, PermissionDenied)

    def is_reserved(self, key: str) -> bool:
        """Whether a key, or a common prefix of a listing, belongs to the server."""
        return key.removesuffix("/") == self.prefix + RESERVED.decode()

    def name_of(self, key: str, prefix: str) -> bytes | None:
        """Return the name of a key directly below `prefix`; the key of a directory ends in a slash.

        None: no name.
        """
        text = key.removeprefix(prefix).removesuffix("/")
        if not key.startswith(prefix) or "/" in text:
            return None
        name = _ESCAPED.sub(_unescape, text).encode("utf-8", "surrogateescape")
        if name in (b"", b".", b"..") or b"/" in name or b"\0" in name or self.text_of(name) != text:
            return None
        return name

    def text_of(self, name: bytes) -> str:
        """Return one name as it appears in a key."""
        text = name.decode("utf-8", "surrogateescape")
        text = self._unsafe.sub(lambda found: _escape(found.group().encode()), text)
        return _FOREIGN.sub(_escape_foreign, text)


def reserved_prefix(prefix: str) -> str:
    """The prefix of the server's own keys."""
    return f"{prefix}{RESERVED.decode()}/"


def _refuse_reserved(place: Place, error: type[StorageError]) -> None:
    if place.names[:1] == (RESERVED,):
        raise error


def _escape(raw: bytes) -> str:
    return "".join(chr(_FIRST + byte) for byte in raw)


def _escape_foreign(found: re.Match[str]) -> str:
    """Map a byte that is not UTF-8 (Python's surrogate escape) to its private-use character."""
    return chr(_FIRST + ord(found.group()) - 0xDC00)


def _unescape(found: re.Match[str]) -> str:
    raw = bytes(ord(character) - _FIRST for character in found.group())
    return raw.decode("utf-8", "surrogateescape")


def _checked(key: str) -> str:
    if len(key.encode("utf-8")) > MAX_KEY_BYTES:
        raise InvalidRequest(f"path too long (max {MAX_KEY_BYTES} bytes of key)")
    return key
