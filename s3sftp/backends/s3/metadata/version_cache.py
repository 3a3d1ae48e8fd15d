"""Caches the metadata of versions, which LIST does not report, for all workers and without expiry.

The metadata of a version never changes. A listing identifies a version by its key, ETag, size and the second
of its upload. What HEAD or GET has reported for the same four answers every worker without another request:

    entry    digest of the four │ modification time │ permissions │ check over all of it

The one doubt is that second: a copy of an object onto itself may keep the ETag, so two versions within one
second can look the same. A reply is therefore cached only if the store sent it after that second was over,
since every later version has a later second.

A listing reports only the key of a directory, so its entry holds what was last seen of its marker. It is
replaced at the next lookup, and dropped when this server changes the directory.

The entries are memory that all workers write to, 32 bytes each. If no slot is free for a new entry, it
replaces another. An entry that is read while another worker writes it fails its check.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Final

from s3sftp.backends.contract import FileInfo
from s3sftp.runtime.shared_counters import SharedCounters

ROWS: Final = 1 << 20
"""8 MiB per worker, or 262 144 entries. Only used entries occupy memory."""
ENTRY_BYTES: Final = 32

_CERTAIN_SECONDS: Final = 2
"""Seconds between upload and reply from which the second of the upload was certainly over."""
_PLACES: Final = 16
"""Adjacent slots in which an entry may be."""
_SET: Final = 4 * _PLACES
"""Numbers per set: the digests, then the times, the permissions and the checks."""
_WORD: Final = (1 << 64) - 1
_HAS_TIME: Final = 1 << 32
_HAS_MODE: Final = 1 << 33
_MODE: Final = (1 << 32) - 1
_FLOAT: Final = struct.Struct("<d")
_INTEGER: Final = struct.Struct("<Q")


class VersionCache:
    """The shared memory, as one worker uses it. Without a table it belongs to this process alone."""

    def __init__(self, table: SharedCounters | None = None) -> None:
        self._words = (table or SharedCounters.alone(ROWS)).numbers
        self._sets = (len(self._words) - 1) // _SET
        """The last number counts changes of whole trees."""

    def put_file(self, key: str, info: FileInfo, uploaded: float | None, reported_at: float) -> None:
        """Cache what HEAD or GET has reported about a file, if it is certain.

        `uploaded` and `reported_at` are seconds of the store's clock: when the object was written, and when
        the store replied.
        """
        if uploaded is None or reported_at - uploaded < _CERTAIN_SECONDS:
            return
        self._put(_file_digest(key, info.version, info.size, uploaded), info)

    def completed(self, key: str, listed: FileInfo) -> FileInfo | None:
        """Complete a listing entry with what is known about that version; None if nothing is known."""
        if listed.is_dir:
            return self._get(self._directory_digest(key), listed)
        if listed.mtime is None:
            return None
        return self._get(_file_digest(key, listed.version, listed.size, listed.mtime), listed)

    def put_directory(self, key: str, info: FileInfo) -> None:
        """Cache what was seen of a directory's marker, or that it has none."""
        self._put(self._directory_digest(key), info)

    def forget_directory(self, key: str, *, tree: bool = False) -> None:
        """Drop a directory's entry; with `tree`, also all entries below it."""
        if tree:
            self._words[-1] = (self._words[-1] + 1) & _WORD
            return
        self._drop(self._directory_digest(key))

    def _directory_digest(self, key: str) -> tuple[int, int]:
        return _digest(f"{key}/\0{self._words[-1]}")

    def _get(self, digest: tuple[int, int], listed: FileInfo) -> FileInfo | None:
        name, proof = digest
        start = self._start(name)
        place = self._place_of(start, name)
        if place is None:
            return None
        place += start
        time = self._words[place + _PLACES]
        more = self._words[place + 2 * _PLACES]
        if self._words[place + 3 * _PLACES] != _check(proof, time, more):
            return None
        mtime = _FLOAT.unpack(_INTEGER.pack(time))[0] if more & _HAS_TIME else None
        mode = more & _MODE if more & _HAS_MODE else None
        return FileInfo(listed.kind, listed.size, mtime, listed.version, mode)

    def _put(self, digest: tuple[int, int], info: FileInfo) -> None:
        name, proof = digest
        start = self._start(name)
        place = self._place_of(start, name)
        if place is None:
            place = self._place_of(start, 0)
        if place is None:  # the choice among them is as good as random
            place = proof % _PLACES
        time = 0 if info.mtime is None else _INTEGER.unpack(_FLOAT.pack(info.mtime))[0]
        more = 0 if info.mtime is None else _HAS_TIME
        more |= 0 if info.mode is None else _HAS_MODE | info.mode
        words = (name, time, more, _check(proof, time, more))
        for field, word in enumerate(words):
            self._words[start + place + _PLACES * field] = word

    def _drop(self, digest: tuple[int, int]) -> None:
        start = self._start(digest[0])
        place = self._place_of(start, digest[0])
        if place is not None:
            self._words[start + place] = 0

    def _start(self, name: int) -> int:
        return (name >> 1) % self._sets * _SET

    def _place_of(self, start: int, name: int) -> int | None:
        names = self._words[start : start + _PLACES].tolist()
        return names.index(name) if name in names else None


def _file_digest(key: str, version: str | None, size: int, uploaded: float) -> tuple[int, int]:
    return _digest(f"{key}\0{version}\0{size}\0{int(uploaded)}")


def _digest(text: str) -> tuple[int, int]:
    """Return the number that an entry is found by, which is never 0, and the one that proves its identity."""
    raw = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return int.from_bytes(raw[:8], "little") | 1, int.from_bytes(raw[8:], "little")


def _check(proof: int, time: int, more: int) -> int:
    return (proof + time * 0x9E3779B97F4A7C15 + more * 0xC2B2AE3D27D4EB4F) & _WORD
