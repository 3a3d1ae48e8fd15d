"""Lists a directory page by page with ListObjectsV2, and all keys of a tree.

Keys become entries: `dir/a` is a file `a`, and `dir/b/…` (a common prefix) a directory `b`. The directory's
own marker `dir/` is not shown, nor is `.s3sftp/`, which belongs to the server. If both `a` and `a/` exist,
the name is listed once, as the file, as in `file_info`; what is below `a/` stays reachable by its full path.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from s3sftp.backends.contract import Entry, FileInfo, Place, Session
from s3sftp.backends.s3.client import Answer, S3Client
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.keys import KeyMapping
from s3sftp.backends.s3.metadata.cache import MetadataCache
from s3sftp.backends.s3.metadata.lookup import Lookup
from s3sftp.backends.s3.metadata.objects import (
    directory_info_from_page,
    file_info_from_listing,
    uploaded_at,
    version_of,
)
from s3sftp.backends.s3.namespace.listing_metadata import ListingMetadata
from s3sftp.backends.s3.requests.list_objects_v1 import last_name
from s3sftp.backends.s3.requests.list_pages import pages
from s3sftp.telemetry import get_logger

MOST_UNSORTED = 100_000
"""Maximum names that are remembered of one listing if the store returns them unsorted."""
_log = get_logger("s3sftp.s3")


@dataclass(frozen=True, slots=True)
class ListedObject:
    """One object in a listing without delimiter."""

    key: str
    size: int
    version: str | None
    written: float | None = None
    """When it was written, in seconds of the store's clock."""

    @property
    def is_marker(self) -> bool:
        """Whether it only stands for a directory."""
        return self.key.endswith("/") and self.size == 0

    def is_same(self, other: ListedObject) -> bool:
        """Whether both are one version, as far as a store without ETags shows.

        An unknown version equals no other.
        """
        if self.version is None and other.version is None:
            return self.written is not None and (self.size, self.written) == (other.size, other.written)
        return self.version == other.version


async def list_tree(client: S3Client, prefix: str) -> AsyncGenerator[ListedObject]:
    """Yield every object below a prefix, including markers."""
    async with aclosing(pages(client, prefix, needed=("Size", "ETag"))) as answers:
        async for answer in answers:
            for line in answer.get("Contents", ()):
                yield ListedObject(line["Key"], int(line["Size"]), version_of(line), uploaded_at(line))


class DirectoryLister:
    """Lists directories."""

    def __init__(self, client: S3Client, keys: KeyMapping, cache: MetadataCache, lookup: Lookup) -> None:
        self._client = client
        self._keys = keys
        self._cache = cache
        self._lookup = lookup

    async def directory(self, place: Place, session: Session) -> AsyncGenerator[Sequence[Entry]]:
        """Yield the entries of a directory, in pages.

        Raises NotFound: if it does not exist. Raises NotADirectory: if it is a file. Either comes with the
        first page.
        """
        prefix = self._keys.prefix_of(place)
        reader = _Reader(self._keys, prefix, is_sorted=self._client.features.has(Feature.ANY_PREFIX))
        completing = ListingMetadata(self._client, self._keys, self._cache, self._lookup, place, session)
        directory = prefix.removesuffix("/")
        read_point = self._cache.read_point()
        seen, first = place.is_root, True
        async with aclosing(pages(self._client, prefix, delimiter="/")) as answers:
            async for answer in answers:
                seen = seen or bool(answer.get("Contents") or answer.get("CommonPrefixes"))
                if not seen and not answer.get("NextContinuationToken"):
                    await self._lookup.refuse_file(place)
                if first:
                    self._cache.versions.put_directory(directory, directory_info_from_page(answer, prefix))
                first = False
                asked = read_point
                read_point = self._cache.read_point()  # the next page is under way, or about to be
                async with aclosing(completing.pieces(reader.entries(answer), asked)) as pieces:
                    async for piece in pieces:
                        yield piece
        if reader.skipped:
            _log.warning("listing.keys_skipped", count=reader.skipped, prefix=prefix)


class _Reader:
    """Converts the pages of one listing to entries. Pure."""

    def __init__(self, keys: KeyMapping, prefix: str, *, is_sorted: bool = True) -> None:
        self._keys = keys
        self._prefix = prefix
        self._is_sorted = is_sorted
        """Whether keys come in byte order, which is assumed until a page shows otherwise."""
        self._open: set[bytes] = set()
        """Names that may still meet their twin, `name` or `name/`. In byte order these are the files whose
        keys the last key begins with (`a` < `a-b` < `a/`); otherwise all names, up to `MOST_UNSORTED`."""
        self._last = ""
        self.skipped = 0

    def entries(self, answer: Answer) -> list[Entry]:
        self._is_sorted = self._is_sorted and self._follows(answer)
        files = [entry for entry in self._files(answer) if self._is_sorted or entry.name not in self._open]
        taken = self._open.union(entry.name for entry in files)
        directories = [
            Entry(name, FileInfo.directory()) for name in self._directories(answer) if name not in taken
        ]
        self._last = last = last_name(answer) or self._last
        if self._is_sorted:
            self._open = {name for name in taken if last.startswith(self._prefix + self._keys.text_of(name))}
        elif len(self._open) < MOST_UNSORTED:
            self._open = taken.union(entry.name for entry in directories)
        return files + directories

    def _follows(self, answer: Answer) -> bool:
        """Whether the page follows the previous one in byte order."""
        firsts = [line["Key"] for line in answer.get("Contents", ())[:1]]
        firsts += [line["Prefix"] for line in answer.get("CommonPrefixes", ())[:1]]
        return all(first.encode("utf-8") >= self._last.encode("utf-8") for first in firsts)

    def _files(self, answer: Answer) -> Iterator[Entry]:
        for line in answer.get("Contents", ()):
            if line["Key"] == self._prefix or self._keys.is_reserved(line["Key"]):
                continue
            name = None if line["Key"].endswith("/") else self._name(line["Key"])
            if name is not None:
                yield Entry(name, file_info_from_listing(line))

    def _directories(self, answer: Answer) -> Iterator[bytes]:
        for line in answer.get("CommonPrefixes", ()):
            if self._keys.is_reserved(line["Prefix"]) or line["Prefix"] == self._last:
                continue  # a store may repeat a large directory in each page that its keys fill
            name = self._name(line["Prefix"])
            if name is not None:
                yield name

    def _name(self, key: str) -> bytes | None:
        name = self._keys.name_of(key, self._prefix)
        self.skipped += name is None
        return name
