"""Unusual names: every byte that SFTP can send, except slash and NUL."""

from __future__ import annotations

import asyncio

import pytest

from s3sftp.testing.storage import Storage
from s3sftp.testing.suite import Promises

ODD_NAMES: dict[str, bytes] = {
    "space": b"a b",
    "spaces around": b" around ",
    "space alone": b" ",
    "plus": b"a+b",
    "percent": b"100%",
    "percent escape": b"a%2Fb",
    "double escape": b"a%252Fb",
    "hash": b"a#b",
    "question": b"a?b=c&d",
    "star": b"*",
    "single quote": b"it's",
    "double quote": b'say "hi"',
    "angles": b"<Key>&amp;<Key>",
    "brackets": b"[a]{b}(c)",
    "punctuation": b"a;b,c=d@e:f!g|h^i`j~k",
    "dollar": b"$HOME",
    "dash": b"-rf",
    "three dots": b"...",
    "hidden": b"..a",
    "dot at the end": b"a.",
    "backslash": b"q\\z",
    "backslash dots": b"..\\..\\a",
    "latin": "Überstraße.txt".encode(),
    "decomposed": "U\u0308berstraße.txt".encode(),
    "cjk": "日本語".encode(),
    "emoji": "😀.bin".encode(),
    "line separator": "a\u2028b".encode(),
    "private use": "a\uf75cb".encode(),
    "replacement": "a\ufffdb".encode(),
    "noncharacter": "a\uffffb".encode(),
    "not utf-8": b"\xff\xfe\x80",
    "not utf-8 within": b"caf\xe9.txt",
    "surrogate bytes": b"\xed\xb3\xbf",
    "overlong slash": b"\xc0\xaf",
    "newline": b"two\nlines",
    "carriage return": b"a\r\nb",
    "tab": b"a\tb",
    "escape": b"\x1b[31mred",
    "control": b"\x01\x02\x7f",
    "longest": b"n" * 255,
    "longest, 2 bytes each": "ä".encode() * 127,
    "longest, 4 bytes each": "😀".encode() * 63,
}

EACH = pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES.keys())


class NamePromises(Promises):
    """Unusual names."""

    @EACH
    async def test_a_file_may_have_an_odd_name(self, storage: Storage, name: bytes) -> None:
        """Every operation on files accepts any name that SFTP can send, byte for byte."""
        await storage.put(name, b"content")
        assert (await storage.info(name)).size == 7
        assert [entry.name for entry in await storage.entries()] == [name]
        assert await storage.part(name, 1, 7) == b"ontent"
        copy = name[:200] + b" copy"
        if len(name) < 200:
            await storage.copy(name, copy)
            assert await storage.whole(copy) == b"content"
            await storage.remove(copy)
        await storage.rename(name, b"plain")
        assert not await storage.exists(name)
        await storage.rename(b"plain", name)
        await storage.remove(name)
        assert await storage.names() == []

    @EACH
    async def test_a_directory_may_have_an_odd_name(self, storage: Storage, name: bytes) -> None:
        """Every operation on directories accepts any name that SFTP can send, byte for byte."""
        await storage.mkdir(name)
        await storage.put(name + b"/file", b"content")
        assert [(entry.name, entry.info.is_dir) for entry in await storage.entries()] == [(name, True)]
        assert await storage.names(name) == ["file"]
        await storage.rename(name, b"plain")
        await storage.rename(b"plain", name)
        assert await storage.whole(name + b"/file") == b"content"
        await storage.remove(name + b"/file")
        await storage.rmdir(name)
        assert await storage.names() == []

    async def test_odd_names_are_all_different(self, storage: Storage) -> None:
        """No two names stand for the same file."""
        await asyncio.gather(*(storage.put(b"d/" + name, name) for name in ODD_NAMES.values()))
        entries = await storage.entries("d")
        assert sorted(entry.name for entry in entries) == sorted(ODD_NAMES.values())
        contents = await asyncio.gather(*(storage.whole(b"d/" + name) for name in ODD_NAMES.values()))
        assert contents == list(ODD_NAMES.values())
