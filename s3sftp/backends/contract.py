"""The contract between the server and a storage.

Storage-first: S3 shapes it, anything that can act like a file system can fulfil it.

    required    `Backend`: start, stop, list_dir, file_info, make_dir, del_dir, delete, rename,
                read_file, write_file; enough for a working server
    optional    `RangedReads`, `StreamedWrites`, and each of the `Extras`, detected one by one
    complete    `CompleteBackend`: all of it, which is what the core calls; `s3sftp.backends.complete`
                makes one of any backend, with a spool where streaming is missing

    read      file_info ─► read_file_range (insisting on the version that file_info saw)
    write     begin_write ─► write_chunk / keep_range, several at once ─► finish_write
                                                                      └─► abort_write
    names     list_dir, make_dir, del_dir, delete, rename, copy

Every method is async, gets the `Session` last (but for keywords), and raises from the tree in
`s3sftp.errors`, or an OSError that means the same. A file becomes visible under its name when
`finish_write` or `write_file` returns, whole; until then nobody sees it.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from mmap import mmap
from types import MappingProxyType
from typing import Protocol

from s3sftp.backends.spool import SpoolQuota
from s3sftp.errors import Changed, InvalidRequest, IsADirectory, NotFound
from s3sftp.telemetry import current_trace_context

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Session:
    """Who asks: passed to every call."""

    user: str
    peer: str = ""
    """Address of the client, `host:port`."""
    client_version: str = ""
    """What the client says it is, such as `OpenSSH_9.2p1`. Not to be trusted."""
    session_id: str = ""
    attributes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What authentication said about the user, such as a tenant id."""

    @property
    def trace_context(self) -> Mapping[str, str]:
        """W3C headers (`traceparent`, maybe `tracestate`) of the operation under way, for requests that
        the storage makes; empty while nobody traces."""
        return current_trace_context()


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is in the storage: names from the backend's root down; the root has none.

    Cannot be wrong: no name is empty, `.`, `..`, or has a slash or NUL in it. Names are bytes, because
    SFTP's are; those that are not UTF-8 survive. Only `fs.mounts` makes one out of what a client sent.
    """

    names: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        for name in self.names:
            if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
                raise InvalidRequest("bad path", detail=f"unusable name {name!r}")

    @property
    def is_root(self) -> bool:
        return not self.names

    @property
    def name(self) -> bytes:
        """The last name; empty for the root."""
        return self.names[-1] if self.names else b""

    @property
    def parent(self) -> Place:
        """The directory it is in; the root is its own parent."""
        return Place(self.names[:-1])

    @property
    def key(self) -> bytes:
        """The names joined by slashes, no slash in front: what key-based storages want."""
        return b"/".join(self.names)

    def child(self, name: bytes) -> Place:
        return Place((*self.names, name))

    def is_within(self, other: Place) -> bool:
        """Whether it is `other` or below it, by whole names."""
        return self.names[: len(other.names)] == other.names


class Kind(enum.Enum):
    FILE = "file"
    DIRECTORY = "directory"


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What a storage knows about a file or a directory."""

    kind: Kind
    size: int = 0
    """Bytes; 0 for a directory."""
    mtime: float | None = None
    """Seconds since the epoch; None when the storage does not know."""
    version: str | None = None
    """Changes whenever the content does (S3: the ETag, quotes included). None: cannot tell."""
    mode: int | None = None
    """POSIX permission bits; None when the storage has none."""

    @classmethod
    def file(
        cls, size: int, mtime: float | None = None, version: str | None = None, mode: int | None = None
    ) -> FileInfo:
        return cls(Kind.FILE, size, mtime, version, mode)

    @classmethod
    def directory(cls, mtime: float | None = None) -> FileInfo:
        return cls(Kind.DIRECTORY, mtime=mtime)

    @property
    def is_dir(self) -> bool:
        return self.kind is Kind.DIRECTORY

    @property
    def identity(self) -> object:
        """What tells one version of a file from another, as far as the storage can tell."""
        return self.kind, self.version if self.version is not None else (self.size, self.mtime)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a listing."""

    name: bytes
    info: FileInfo


@dataclass(frozen=True, slots=True)
class Usage:
    """How full the storage is, in bytes; None: without limit or unknown."""

    total_bytes: int | None = None
    used_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class WriteIntent:
    """What is known when a write begins."""

    exclusive: bool = False
    """The file must not exist when `finish_write` publishes it: then AlreadyExists."""
    base: FileInfo | None = None
    """The present file, some bytes of which may be kept by `keep_range`; publishing must fail with
    Changed if it is not this version any more and some are."""
    mtime: float | None = None
    """The modification time, if the client has said it already; `Finish.mtime` is the last word."""
    mode: int | None = None
    """The permission bits, in the same way; only for a backend that `keeps_modes`."""


@dataclass(frozen=True, slots=True)
class Finish:
    """What is known when a write ends."""

    size: int
    """Bytes of the whole file: chunks, kept ranges and tail."""
    mtime: float | None = None
    """What the client wants as modification time, seconds since the epoch; None: now."""
    base_kept: bool = True
    """Whether bytes of `intent.base` are in the file. If none are, it does not matter that the base was
    replaced or removed meanwhile."""
    mode: int | None = None
    """What the client wants as permission bits; None: nothing, or the backend does not keep them."""


class Upload:
    """A write that has begun. Backends subclass it to keep their state; the core reads these attributes."""

    chunk_bytes: int = 1 << 20
    """Exact size that the next chunk should have; only the last bytes of a file (the tail) may be fewer.
    May grow from chunk to chunk."""
    min_chunk_bytes: int = 1
    """The fewest bytes that a chunk or a kept range may have when something follows it."""
    keep_unit_bytes: int = 1
    """What the length of a kept range is a multiple of; the bytes between come in chunks. May change from
    chunk to chunk, as `chunk_bytes`."""
    parallel_chunks: int = 1
    """How many calls of `write_chunk` and `keep_range` may run at once."""
    stored: FileInfo | None = None
    """What `finish_write` has published. To be set in the moment in which the storage has confirmed it where
    something is still to be done then, such as setting a time: should that be cancelled, the file is known to
    be stored nevertheless."""


class Backend(Protocol):
    """What every storage has. Subclass it, and `start` and `stop` may be left out; or write all ten."""

    async def start(self) -> None:
        """Get ready. An error here keeps the server from starting."""
        return  # a body, or type checkers would insist on one in every subclass

    async def stop(self) -> None:
        """Let go of everything. Called after the last operation, and after a failed start; a server that
        is started again starts it again."""
        return

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        """Describe a file or directory as it is now. The root always is a directory.

        Raises NotFound.
        """

    def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        """Yield the entries of a directory, a page at a time, without `.` and `..`, each name once.

        The iterator is closed (`aclose`) when the reader leaves early. Raises NotFound, NotADirectory,
        at the latest with the first page; an empty directory yields nothing or an empty page.
        """

    async def make_dir(self, place: Place, session: Session) -> None:
        """Make a directory, and those above it. Raises AlreadyExists when the name is taken by a file or a
        directory."""

    async def del_dir(self, place: Place, session: Session) -> None:
        """Remove an empty directory. Raises NotFound, NotADirectory, NotEmpty."""

    async def delete(self, place: Place, session: Session) -> None:
        """Remove a file. Raises NotFound, IsADirectory."""

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        """Move a file or a directory tree; directories above the target come into being.

        Nothing is removed from the source before all of it is at the target. Raises NotFound;
        AlreadyExists when the target exists and `overwrite` is false, or either is a directory; NotADirectory
        as `write_file`; InvalidRequest when the target is inside the source.
        """

    async def read_file(self, place: Place, session: Session) -> Buffer | mmap:
        """A whole file at once; a large one better as an `mmap`. Raises NotFound, IsADirectory."""

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo | None:
        """Publish a whole file at once, replacing what was there; readers see the old file or the new.
        Directories above it come into being.

        `data` is bytes-like: of a large file a read-only `memoryview` of a spool file, mapped into memory,
        good until the call returns. Returns the file that is now stored, or None when the storage does
        not say: then it is asked. Raises IsADirectory, and NotADirectory where a name above is a file's; a
        storage that would have to ask for that first, as S3, raises them where it is known, and else may have
        a file and a directory of one name: the name then is the file's, and what is in the directory stays
        reachable.
        """


class RangedReads(Protocol):
    """Optional: reading a part of a file. Without it each reader gets a copy of the whole file in a spool."""

    def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        """Yield the bytes `[start, stop)` in order, in pieces of any size; `stop` is never beyond the end.

        Yields exactly `stop - start` bytes or raises: NotFound when the file is gone (IsADirectory where
        a directory has its name), Changed when it is not at `version` any more, StorageFailure. Never
        fewer as if that were the end.
        """


class StreamedWrites(Protocol):
    """Optional, all four or none: writing in chunks. Without them an upload waits in a spool until CLOSE."""

    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        """Begin to write a file. S3: no request yet. Raises IsADirectory and NotADirectory where that is
        known already."""

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        """Append one chunk of exactly `upload.chunk_bytes`; returns when the storage has it.

        Calls begin in the order of the file. Up to `parallel_chunks` may run at once: a call takes its
        position in the file before it first waits. `data` is not changed until the call returns.
        """

    async def finish_write(
        self, upload: Upload, tail: Buffer, finish: Finish, session: Session
    ) -> FileInfo | None:
        """Append the last bytes (maybe none) and publish the file whole; returns what is now stored, or None
        when the storage does not say: then it is asked.

        Every chunk has returned before. After an error nothing is published: the caller aborts. Raises
        AlreadyExists (exclusive), Changed (base), IsADirectory and NotADirectory as `write_file`, and
        whatever the storage can fail with.
        """

    async def abort_write(self, upload: Upload, session: Session) -> None:
        """Throw away all of it. May be called twice, and after a failed finish; never raises StorageError."""


class Extras(Protocol):
    """Optional, each by itself: what some storages do better than the core could with the rest."""

    name: str
    """What the operator calls it, in logs and spans. Without it: the name of the class."""

    begin_is_free: bool = False
    """Whether `begin_write` asks nothing and refuses nothing, as with S3: then it may be called late. If not,
    it is called when the file is opened, for which the present file has to be asked for."""

    @property
    def first_chunk_bytes(self) -> int:
        """`chunk_bytes` of an upload that has just begun: files shorter than this are published in one go."""

    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        """Append the bytes `[start, stop)` of `intent.base`, whose number is a multiple of `keep_unit_bytes`,
        without moving them through the server.

        Takes its position and counts as a chunk, as `write_chunk`. Raises Changed.
        """

    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        """Copy a whole file inside the storage, replacing the target; returns the new file.

        Raises NotFound, IsADirectory (of either; of the target as `write_file`), Changed when the source is
        not at `version` any more.
        """

    async def set_mtime(self, place: Place, mtime: float, session: Session) -> bool:
        """Set a file's modification time if the storage can and is told to; returns whether it did.

        Raises NotFound.
        """

    async def usage(self, place: Place, session: Session) -> Usage:
        """How full the storage is."""


class CompleteBackend(Backend, RangedReads, StreamedWrites, Extras, Protocol):
    """A storage with everything, by itself or by `complete`: what the core calls.

    A class that is derived from it promises to raise nothing but StorageErrors.
    """

    keeps_modes: bool = False
    """Whether permission bits that a client gives are kept and shown as `FileInfo.mode`."""

    keeps_times: bool = True
    """Whether a modification time that a client gives may be kept; if not, it is accepted and counted."""

    def may_spool(self, room: SpoolQuota) -> None:
        """Told before it is started: disk that it may use. Most need none."""
        return

    async def open_file(
        self, place: Place, stop: int, session: Session
    ) -> tuple[FileInfo, AsyncIterator[Buffer] | None]:
        """Describe a file that is to be read and, where that costs no request more, begin to read it.

        The iterator yields the bytes `[0, stop)`, or all that there are, of the version described, as
        `read_file_range` would; whoever gets one closes it. Raises NotFound, IsADirectory.
        """
        info = await self.file_info(place, session)
        if info.is_dir:
            raise IsADirectory
        return info, None

    async def recent_info(self, place: Place, session: Session) -> FileInfo:
        """As `file_info`, for clients that only look: what the session itself has just listed or changed may
        be told from memory. Raises NotFound.
        """
        return await self.file_info(place, session)

    async def set_attributes(self, place: Place, mtime: float | None, mode: int, session: Session) -> bool:
        """Set a file's permission bits and, unless it is None, its modification time, in one step; returns
        whether it did. Called only if it `keeps_modes`.

        Raises NotFound.
        """
        return False

    async def stored_digest(
        self, place: Place, info: FileInfo, algorithm: str, session: Session
    ) -> bytes | None:
        """The hash of a whole file, where the storage has it by itself and it surely is that of the version
        that `info` saw; None: it has to be read. `algorithm` is `md5`, `sha1`, `sha256`, `crc32`, …
        """
        return None

    async def refuse_file(self, place: Place, session: Session) -> None:
        """Raise IsADirectory or NotADirectory where it is known already, without a request, that no file can
        have this name: what `begin_write` would say, when it is called late."""
        return

    async def require_version(self, place: Place, info: FileInfo | None, session: Session) -> None:
        """Raise Changed unless the file is still the one that `info` describes; None: unless there is none.

        The storage is asked, not a memory of what it said.
        """
        try:
            present = await self.file_info(place, session)
        except NotFound:
            present = None
        if (present and present.identity) != (info and info.identity):
            raise Changed

    async def set_mtime(self, place: Place, mtime: float, session: Session) -> bool:
        """As `Extras.set_mtime`. A storage without it sets no time: returns False."""
        await self.file_info(place, session)  # raises NotFound
        return False

    async def usage(self, place: Place, session: Session) -> Usage:
        """As `Extras.usage`. A storage without it does not know."""
        return Usage()

    async def read_file(self, place: Place, session: Session) -> Buffer:
        """As `Backend.read_file`; one that is mapped comes as a view."""

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        """As `Backend.write_file`, and always says what is stored now."""

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        """As `StreamedWrites.finish_write`, and always says what is stored now."""
