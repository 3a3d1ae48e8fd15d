"""ListObjectsV2: a directory page by page, and all keys of a tree.

Keys become entries: `dir/a` a file `a`; `dir/b/…` (a common prefix) a directory `b`; `dir/` the directory's
own marker, not shown; nor is `.s3sftp/`, which is the server's. Where `a` and `a/` both exist the name is
listed once, as the file, as `file_info` says too: what is below `a/` stays reachable by its full path.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from s3sftp.backends.contract import Entry, FileInfo, Place
from s3sftp.backends.s3.cache import Facts
from s3sftp.backends.s3.client import Answer, Store
from s3sftp.backends.s3.completing import Completing
from s3sftp.backends.s3.heads import Heads
from s3sftp.backends.s3.keys import Keys
from s3sftp.backends.s3.objects import Fields, info_of_line, marker_of, version_of
from s3sftp.telemetry import get_logger

PAGE_KEYS = 1000
"""The most that S3 tells at once."""

_log = get_logger("s3sftp.s3")


@dataclass(frozen=True, slots=True)
class Line:
    """One object of a flat listing."""

    key: str
    size: int
    version: str | None

    @property
    def is_marker(self) -> bool:
        """Whether it stands for a directory, and is nothing else."""
        return self.key.endswith("/") and self.size == 0


async def pages(store: Store, prefix: str, *, delimiter: str = "") -> AsyncGenerator[Answer]:
    """The answers of one listing. The next is asked for while this one is read; leaving stops it."""
    fixed: Fields = {"Prefix": prefix, "MaxKeys": PAGE_KEYS} | ({"Delimiter": delimiter} if delimiter else {})

    async def page(after: Fields) -> Answer:
        async with store.listings.one():
            return await store.call("ListObjectsV2", **fixed, **after)

    answer = await page({})
    while token := answer.get("NextContinuationToken"):
        ahead = asyncio.create_task(page({"ContinuationToken": token}))
        try:
            yield answer
            answer = await ahead
            await asyncio.sleep(0)  # others first: both pages may have been there at once
        finally:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
    yield answer


async def tree(store: Store, prefix: str) -> AsyncGenerator[Line]:
    """Every object below a prefix, markers included."""
    async with aclosing(pages(store, prefix)) as answers:
        async for answer in answers:
            for line in answer.get("Contents", ()):
                yield Line(line["Key"], int(line.get("Size", 0)), version_of(line))


class Listing:
    """Lists directories."""

    def __init__(self, store: Store, keys: Keys, facts: Facts, heads: Heads) -> None:
        self._store = store
        self._keys = keys
        self._facts = facts
        self._heads = heads

    async def directory(self, place: Place) -> AsyncGenerator[Sequence[Entry]]:
        """Yield the entries of a directory. Raises NotFound, NotADirectory with the first page."""
        prefix = self._keys.prefix_of(place)
        reader = _Reader(self._keys, prefix)
        completing = Completing(self._store, self._keys, self._facts, self._heads, place)
        directory = prefix.removesuffix("/")
        ticket = self._facts.ticket(directory)
        seen, first = place.is_root, True
        async with aclosing(pages(self._store, prefix, delimiter="/")) as answers:
            async for answer in answers:
                seen = seen or bool(answer.get("Contents") or answer.get("CommonPrefixes"))
                if not seen and not answer.get("NextContinuationToken"):
                    await self._heads.refuse_file(place)
                if first:
                    self._facts.versions.keep_directory(directory, marker_of(answer, prefix))
                first = False
                asked = ticket
                ticket = self._facts.ticket(directory)  # the next page is under way, or about to be
                async with aclosing(completing.pieces(reader.entries(answer), asked)) as pieces:
                    async for piece in pieces:
                        yield piece
        if reader.skipped:
            _log.warning("s3_keys_skipped", count=reader.skipped, prefix=prefix)


class _Reader:
    """Turns the pages of one listing into entries. Pure."""

    def __init__(self, keys: Keys, prefix: str) -> None:
        self._keys = keys
        self._prefix = prefix
        self._open: set[bytes] = set()
        """Files that may still meet their twin `name/`: keys come in byte order, so only names that the last
        one begins with (`a` < `a-b` < `a/`)."""
        self.skipped = 0

    def entries(self, answer: Answer) -> list[Entry]:
        files = list(self._files(answer))
        taken = self._open.union(entry.name for entry in files)
        directories = [
            Entry(name, FileInfo.directory()) for name in self._directories(answer) if name not in taken
        ]
        last = _last_key(answer)
        if last is not None:
            self._open = {name for name in taken if last.startswith(self._prefix + self._keys.text_of(name))}
        return files + directories

    def _files(self, answer: Answer) -> Iterator[Entry]:
        for line in answer.get("Contents", ()):
            if line["Key"] == self._prefix or self._keys.is_reserved(line["Key"]):
                continue
            name = None if line["Key"].endswith("/") else self._name(line["Key"])
            if name is not None:
                yield Entry(name, info_of_line(line))

    def _directories(self, answer: Answer) -> Iterator[bytes]:
        for line in answer.get("CommonPrefixes", ()):
            if self._keys.is_reserved(line["Prefix"]):
                continue
            name = self._name(line["Prefix"])
            if name is not None:
                yield name

    def _name(self, key: str) -> bytes | None:
        name = self._keys.name_of(key, self._prefix)
        self.skipped += name is None
        return name


def _last_key(answer: Answer) -> str | None:
    """The last key or common prefix of a page, in S3's order; None for an empty page."""
    lasts: list[str] = [line["Key"] for line in answer.get("Contents", ())[-1:]]
    lasts += [line["Prefix"] for line in answer.get("CommonPrefixes", ())[-1:]]
    return max(lasts, key=lambda key: key.encode("utf-8"), default=None)
