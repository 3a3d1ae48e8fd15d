"""Objects by key, interpreted as directories and files.

    objects[b"a/b.txt"]     a file; the directory `a` exists because of it, and vanishes with it
    objects[b"d/"]          a marker: the directory `d`, empty or not
    objects[b"a"]           can exist beside `a/b.txt` if it was put there behind the server's back;
                            the name then stands for the file

Nothing here waits, so every change is one step.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from s3sftp.backends.contract import Amount, Entry, FileInfo, Place
from s3sftp.errors import (
    AlreadyExists,
    Changed,
    InvalidRequest,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
)

_DIGEST_BYTES = 1 << 20
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object. It is never changed, only replaced."""

    pieces: tuple[bytes, ...]
    """The content, in the pieces in which it arrived."""
    size: int
    mtime: float
    version: str

    @classmethod
    def of(cls, pieces: Iterable[bytes], mtime: float) -> StoredObject:
        """Make an object. Its version is like an ETag: the digest of a small object; of a large one it
        reveals nothing."""
        held = tuple(pieces)
        size = sum(map(len, held))
        mark = next(_numbers) if size > _DIGEST_BYTES else zlib.crc32(b"".join(held))
        return cls(held, size, mtime, f'"{mark:08x}-{size}"')

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)

    def range(self, start: int, stop: int) -> Iterator[memoryview]:
        """The bytes `[start, stop)`, piece by piece, without a copy."""
        at = 0
        for piece in self.pieces:
            if at + len(piece) > start and at < stop:
                yield memoryview(piece)[max(0, start - at) : stop - at]
            at += len(piece)

    @property
    def info(self) -> FileInfo:
        return FileInfo.file(self.size, self.mtime, self.version)


class MemoryBucket:
    """The stored objects. Tests may change `objects` behind the server's back."""

    def __init__(self) -> None:
        self.objects: dict[bytes, StoredObject] = {}

    @property
    def stored_bytes(self) -> int:
        return sum(each.size for each in self.objects.values())

    def total_below(self, place: Place) -> Amount:
        """The files below a directory, and their bytes."""
        sizes = [self.objects[key].size for key in self._under(place) if not key.endswith(b"/")]
        return Amount(sum(sizes), len(sizes))

    def size_of(self, place: Place) -> int:
        stored = self.objects.get(place.key)
        return stored.size if stored else 0

    def file_info(self, place: Place) -> FileInfo:
        """Describe a place.

        Raises NotFound: if there is nothing at `place`.
        """
        if not place.is_root and place.key in self.objects:
            return self.objects[place.key].info
        if self.is_directory(place):
            return self._directory(_prefix(place))
        raise NotFound

    def is_directory(self, place: Place) -> bool:
        """Whether it has a marker or any content, and no file has its name."""
        if place.is_root or place.key in self.objects:
            return place.is_root
        return any(key.startswith(_prefix(place)) for key in self.objects)

    def refuse_file(self, place: Place) -> None:
        """Refuse a file that would hide a directory, or would be hidden below a file.

        Raises IsADirectory: if a directory has the name.
        Raises NotADirectory: if a parent's name belongs to a file.
        """
        if self.is_directory(place):
            raise IsADirectory
        while not (place := place.parent).is_root:
            if place.key in self.objects:
                raise NotADirectory

    def exists(self, place: Place) -> bool:
        try:
            self.file_info(place)
        except NotFound:
            return False
        return True

    def file(self, place: Place) -> StoredObject:
        """The object of a file.

        Raises NotFound: if there is nothing at `place`.
        Raises IsADirectory: if it is a directory.
        """
        if self.file_info(place).is_dir:
            raise IsADirectory
        return self.objects[place.key]

    def at_version(self, place: Place, version: str | None) -> StoredObject:
        """The object of a file, which must be at `version`.

        Raises Changed: if it was replaced or removed.
        """
        stored = self.objects.get(place.key)
        if stored is None or version not in (None, stored.version):
            raise Changed
        return stored

    def entries(self, place: Place) -> list[Entry]:
        """A directory's listing, sorted, each name once.

        Raises NotFound: if there is nothing at `place`.
        Raises NotADirectory: if it is a file.
        """
        found: dict[bytes, FileInfo] = {}
        keys = self._under(place)
        for key in keys:
            name, below, _ = key.removeprefix(_prefix(place)).partition(b"/")
            if name and not below:
                found[name] = self.objects[key].info
            elif name:
                found.setdefault(name, self._directory(_prefix(place) + name + b"/"))
        if not keys and not self.file_info(place).is_dir:
            raise NotADirectory
        return [Entry(name, info) for name, info in sorted(found.items())]

    def make_dir(self, place: Place, mtime: float) -> None:
        if self.exists(place):
            raise AlreadyExists
        self.objects[_prefix(place)] = StoredObject.of([], mtime)

    def del_dir(self, place: Place) -> None:
        if place.is_root:
            raise InvalidRequest("the root cannot be removed")
        if not self.file_info(place).is_dir:
            raise NotADirectory
        if self._under(place) != [_prefix(place)]:
            raise NotEmpty
        del self.objects[_prefix(place)]

    def delete(self, place: Place) -> None:
        self.file(place)
        del self.objects[place.key]

    def rename(self, source: Place, target: Place, *, overwrite: bool) -> None:
        """Move a file or a whole directory, as `CompleteBackend.rename` promises."""
        moves_directory = self.file_info(source).is_dir
        if target.is_within(source) and (moves_directory or target != source):
            raise InvalidRequest("cannot be moved into itself")
        if self.exists(target) and (not overwrite or moves_directory or self.file_info(target).is_dir):
            raise AlreadyExists
        if not self.exists(target):
            self.refuse_file(target)
        moves = {source.key: target.key}
        if moves_directory:
            old, new = _prefix(source), _prefix(target)
            moves = {key: new + key.removeprefix(old) for key in self._under(source)}
        self.objects.update({new: self.objects.pop(old) for old, new in moves.items()})

    def set_mtime(self, place: Place, mtime: float) -> bool:
        if self.file_info(place).is_dir:
            return False
        self.objects[place.key] = replace(self.objects[place.key], mtime=mtime)
        return True

    def _directory(self, marker: bytes) -> FileInfo:
        """The info of a directory, with the time of its marker; without a marker it has no time."""
        made = self.objects.get(marker)
        return FileInfo.directory(None if made is None else made.mtime)

    def _under(self, place: Place) -> list[bytes]:
        """The keys in and below a directory, its own marker included, sorted."""
        prefix = _prefix(place)
        return sorted(key for key in self.objects if key.startswith(prefix))


def _prefix(place: Place) -> bytes:
    return b"" if place.is_root else place.key + b"/"
