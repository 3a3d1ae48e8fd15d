"""The contract between the server and a storage: the operations, their arguments, answers and errors.

It is shaped by S3, and any storage that can act like a file system can fulfil it.

    required    `Backend`: start, stop, list_dir, file_info, make_dir, del_dir, delete, rename,
                read_file, write_file; enough for a working server
    optional    `RangedReads`, `StreamedWrites`, and each of the `Extras`, detected one by one
    complete    `CompleteBackend`: all of it, which is what the core calls. `s3sftp.backends.complete`
                makes one of any backend, with a spool where streaming is missing

    read      file_info ─► read_file_range (of the version that file_info returned)
    write     begin_write ─► write_chunk / keep_range, several at once ─► finish_write
                                                                      └─► abort_write
    names     list_dir, make_dir, del_dir, delete, rename, copy

Every method is async, takes the `Session` as its last positional argument, and raises errors of the tree in
`s3sftp.errors`, or an OSError with the same meaning (`errno_map`). A file becomes visible under its name,
whole, when `finish_write` or `write_file` returns; until then no session sees it.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from mmap import mmap
from types import MappingProxyType
from typing import Any, Protocol, cast

from s3sftp.backends.mount_role import MountRole
from s3sftp.backends.small_objects import SmallObjects
from s3sftp.backends.spool import SpoolQuota
from s3sftp.errors import Changed, InvalidRequest, IsADirectory, NotADirectory, NotFound, OtherStorage
from s3sftp.telemetry import current_trace_context

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Session:
    """The session that makes a call. Every call of a user's request gets it."""

    user: str
    peer: str = ""
    """Address of the client, `host:port`."""
    client_version: str = ""
    """The client's own description of itself, such as `OpenSSH_9.2p1`. Untrusted input."""
    session_id: str = ""
    attributes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What authentication knows about the user, such as a tenant id."""
    grants: tuple[Grant, ...] | None = field(default=None, repr=False)
    """What the user may do, for a backend that `wants_grants`; None for others."""

    @property
    def trace_context(self) -> Mapping[str, str]:
        """W3C headers (`traceparent`, and `tracestate` if there is one) of the current operation, for
        requests that the storage makes. Empty while tracing is off."""
        return current_trace_context()


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is in the storage: the names from the backend's root down. The root has no names.

    A place is always valid: no name is empty, `.` or `..`, or contains a slash or NUL. Names are bytes, as in
    SFTP, so names that are not UTF-8 survive. Only `fs.mounts` makes a place from a client's path.

    Raises InvalidRequest: if a name is not valid.
    """

    names: tuple[bytes, ...] = ()
    storage: str = ""
    """The name of the storage, if the server has several; empty for the one that has no name. Always empty in
    calls of a backend, which knows only its own storage. Events have it."""

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
        """The directory that contains this place; the root is its own parent."""
        return Place(self.names[:-1], self.storage)

    @property
    def key(self) -> bytes:
        """The names joined by slashes, without a leading slash: the form that key-based storages use."""
        return b"/".join(self.names)

    def child(self, name: bytes) -> Place:
        return Place((*self.names, name), self.storage)

    def is_within(self, other: Place) -> bool:
        """Whether this place is `other` or below it, compared by whole names, in the same storage."""
        return self.names[: len(other.names)] == other.names and self.storage == other.storage


@dataclass(frozen=True, slots=True)
class Grant:
    """What a user may do at a place and everything below it, for a storage that enforces that itself."""

    place: Place
    file: bool = False
    """Whether the place is a single file."""
    stores: bool = False
    """Whether anything may be stored, or changed, there."""
    removes: bool = False
    """Whether anything may be removed from there."""
    role: MountRole | None = None
    """The role that the place is reached with; None: that of the storage."""


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
    """Seconds since the epoch; None if the storage does not know."""
    version: str | None = None
    """Changes whenever the content changes (S3: the ETag, with its quotes). None if the storage has no
    versions."""
    mode: int | None = None
    """POSIX permission bits; None if the storage has none."""

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
        """Distinguishes the versions of a file, as far as the storage can: by version, or else by size and
        time."""
        return self.kind, self.version if self.version is not None else (self.size, self.mtime)


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A stored file, as far as it tells which write has stored it."""

    mark: str | None = None
    """See `Upload.mark`."""
    version: str | None = None
    size: int | None = None
    modified: float | None = None
    """When it was stored, in seconds of the storage's clock."""
    version_id: str | None = None
    """See `Upload.version_id`."""
    is_dir: bool = False


@dataclass(frozen=True, slots=True)
class ObjectAddress:
    """Where a file is in an object store."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a directory listing."""

    name: bytes
    info: FileInfo


@dataclass(frozen=True, slots=True)
class Usage:
    """How full the storage is. None means unlimited or unknown."""

    total_bytes: int | None = None
    used_bytes: int | None = None
    total_files: int | None = None
    used_files: int | None = None


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of files, and of the bytes in them. A difference may be negative."""

    bytes: int = 0
    files: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.bytes + other.bytes, self.files + other.files)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.bytes - other.bytes, self.files - other.files)

    @property
    def above_zero(self) -> Amount:
        """The same with zero for what is negative."""
        return Amount(max(0, self.bytes), max(0, self.files))


@dataclass(frozen=True, slots=True)
class WriteIntent:
    """What is known about a write when it begins."""

    exclusive: bool = False
    """`finish_write` must raise AlreadyExists if the file exists by then."""
    base: FileInfo | None = None
    """The present file, of which `keep_range` may keep bytes. If any are kept, `finish_write` must raise
    Changed unless the file still is this version."""
    mtime: float | None = None
    """The modification time, in seconds since the epoch, if the client has already sent it. `Finish.mtime`
    decides."""
    mode: int | None = None
    """The permission bits, if the client has already sent them. `Finish.mode` decides. Only set for a backend
    that `keeps_modes`."""


@dataclass(frozen=True, slots=True)
class Finish:
    """What is known about a write when it ends."""

    size: int
    """Bytes of the whole file: chunks, kept ranges and tail."""
    mtime: float | None = None
    """The modification time that the client wants, in seconds since the epoch. None means now."""
    base_kept: bool = True
    """Whether the file contains bytes of `intent.base`. If not, it does not matter whether the base was
    replaced or removed in the meantime."""
    mode: int | None = None
    """The permission bits that the client wants. None if it wants none, or if the backend does not keep them.
    """


class Upload:
    """A write that has begun. Backends subclass it to hold their state; the core reads these attributes."""

    chunk_bytes: int = 1 << 20
    """Exact size of the next chunk. Only the last bytes of a file (the tail) may be fewer. May grow from
    chunk to chunk."""
    min_chunk_bytes: int = 1
    """Minimum size of a chunk or a kept range that is not the last of the file."""
    keep_unit_bytes: int = 1
    """The length of a kept range is a multiple of this; the remaining bytes are sent in chunks. May change
    from chunk to chunk, as `chunk_bytes` does."""
    parallel_chunks: int = 1
    """Maximum number of `write_chunk` and `keep_range` calls at once."""
    storage: str = ""
    """The name of the storage that the upload is in. Set by the server, if it has several."""
    checksum: str | None = None
    """The checksum of the whole file with which `finish_write` had the storage verify it, such as
    `crc32:DUoRhQ==` (base64, as in S3's API). None if there was none."""
    mark: str | None = None
    """What the stored file will carry, and no file of another write: proves later that this write has been
    finished. None if the storage keeps no marks."""
    version_id: str | None = None
    """The storage's id of the stored version, if it keeps all of them. Set by `finish_write`."""
    stored: FileInfo | None = None
    """The file that `finish_write` has made visible. A backend that has more to do after the storage has
    confirmed the file, such as setting its time, sets this at the moment of the confirmation: if the rest is
    cancelled, the file is still known to be stored."""


class Backend(Protocol):
    """The methods that every storage has. A subclass may leave out `start` and `stop`; any other class must
    have all ten."""

    async def start(self) -> None:
        """Prepare for use. If this raises, the server does not start."""
        return  # a body: without one, type checkers require every subclass to implement it

    async def stop(self) -> None:
        """Release all resources. Called after the last operation and after a failed start. A server that is
        started again calls `start` again."""
        return

    async def file_info(self, place: Place, session: Session) -> FileInfo:
        """Describe a file or directory as it is now. The root is always a directory.

        Raises NotFound: if there is nothing at `place`.
        """

    def list_dir(self, place: Place, session: Session) -> AsyncIterator[Sequence[Entry]]:
        """Yield the entries of a directory in pages, without `.` and `..`, each name once. An empty directory
        yields nothing or an empty page.

        The caller closes the iterator (`aclose`) if it stops early.

        Raises NotFound: if there is nothing at `place`, at the latest with the first page.
        Raises NotADirectory: if it is a file, at the latest with the first page.
        """

    async def make_dir(self, place: Place, session: Session) -> None:
        """Make a directory, and its missing parents.

        Raises AlreadyExists: if a file or a directory has the name.
        """

    async def del_dir(self, place: Place, session: Session) -> None:
        """Remove an empty directory.

        Raises NotFound: if there is nothing at `place`.
        Raises NotADirectory: if it is a file.
        Raises NotEmpty: if the directory contains anything.
        """

    async def delete(self, place: Place, session: Session) -> None:
        """Remove a file.

        Raises NotFound: if there is nothing at `place`.
        Raises IsADirectory: if it is a directory.
        """

    async def rename(self, source: Place, target: Place, session: Session, *, overwrite: bool) -> None:
        """Move a file or a directory tree, and make the missing parents of the target.

        Nothing is removed from the source before all of it is at the target.

        Raises NotFound: if there is nothing at `source`.
        Raises AlreadyExists: if the target exists and `overwrite` is false, or if either of the two is a
            directory.
        Raises NotADirectory: under the conditions of `write_file`.
        Raises InvalidRequest: if the target is inside the source.
        """

    async def read_file(self, place: Place, session: Session) -> Buffer | mmap:
        """Return the content of a whole file, preferably as an `mmap` if the file is large.

        Raises NotFound: if there is nothing at `place`.
        Raises IsADirectory: if it is a directory.
        """

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo | None:
        """Publish a whole file, replacing the one that has the name, and make its missing parents. Readers
        see either the old file or the new one.

        `data` is bytes-like. For a large file it is a read-only `memoryview` of a memory-mapped spool file,
        valid until the call returns. Returns the file that is now stored, or None if the storage does not
        report it; the server then calls `file_info`.

        Raises IsADirectory: if a directory has the name.
        Raises NotADirectory: if a parent's name belongs to a file.

        A storage that would need extra requests to find that out, such as S3, raises these two errors where
        it already knows, and may otherwise end up with a file and a directory of one name. The name then
        stands for the file, and the content of the directory stays reachable.
        """


class RangedReads(Protocol):
    """Optional: reading a part of a file. Without it, readers get a copy of the whole file in a spool."""

    def read_file_range(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncIterator[Buffer]:
        """Yield the bytes `[start, stop)` in order, in pieces of any size. `stop` is never beyond the end.

        Yields exactly `stop - start` bytes, or raises; a shorter result never stands for the end of the file.

        Raises NotFound: if the file is gone.
        Raises IsADirectory: if a directory has its name.
        Raises Changed: if the file is no longer at `version`.
        Raises StorageFailure: if the storage fails.
        """


class StreamedWrites(Protocol):
    """Optional, all four or none: writing in chunks. Without them, an upload waits in a spool until CLOSE."""

    async def begin_write(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        """Begin to write a file. S3 sends no request yet.

        Raises IsADirectory: if it is already known that a directory has the name.
        Raises NotADirectory: if it is already known that a parent's name belongs to a file.
        """

    async def write_chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        """Append one chunk of exactly `upload.chunk_bytes`. Returns when the storage has it.

        Calls begin in the order of the file. Up to `parallel_chunks` may run at once, so a call must take its
        position in the file before it first waits. `data` does not change until the call returns.
        """

    async def finish_write(
        self, upload: Upload, tail: Buffer, finish: Finish, session: Session
    ) -> FileInfo | None:
        """Append the last bytes (possibly none) and make the whole file visible. Returns the file that is now
        stored, or None if the storage does not report it; the server then calls `file_info`.

        All chunks have returned before this is called. After an error nothing is visible, and the caller
        aborts.

        Raises AlreadyExists: if the write is exclusive and the file exists.
        Raises Changed: if bytes of the base were kept and the file is no longer that version.
        Raises IsADirectory, NotADirectory: under the conditions of `write_file`.
        Raises any other StorageError: if the storage fails.
        """

    async def abort_write(self, upload: Upload, session: Session) -> None:
        """Discard the upload. May be called twice, and after a failed finish. Never raises StorageError."""


class Extras(Protocol):
    """Optional, each by itself: operations that a storage may do better than the core can with the others."""

    name: str
    """The backend's name in logs and spans. Default: the name of its class."""

    begin_is_free: bool = False
    """Whether `begin_write` does no I/O and cannot fail, as with S3, so that the core may defer it to the
    first chunk. Otherwise the core calls it when the file is opened, which requires a `file_info` of the
    present file."""

    @property
    def first_chunk_bytes(self) -> int:
        """`chunk_bytes` of an upload that has just begun. Shorter files are stored in one call."""

    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        """Append the bytes `[start, stop)` of `intent.base` without moving them through the server. Their
        number is a multiple of `keep_unit_bytes`.

        Takes its position in the file and counts as a chunk, as `write_chunk` does.

        Raises Changed: if the file is no longer the base.
        """

    async def copy(self, source: Place, target: Place, session: Session, *, version: str | None) -> FileInfo:
        """Copy a whole file inside the storage, replacing the target. Returns the new file.

        Raises NotFound: if there is nothing at `source`.
        Raises IsADirectory: if the source is a directory; if the target is, under the conditions of
            `write_file`.
        Raises Changed: if the source is no longer at `version`.
        """

    async def set_mtime(self, place: Place, mtime: float, session: Session) -> bool:
        """Set a file's modification time (seconds since the epoch) if the storage can do so and is configured
        to. Returns whether it did.

        Raises NotFound: if there is nothing at `place`.
        """

    async def usage(self, place: Place, session: Session) -> Usage:
        """Return how full the storage is."""


class CompleteBackend(Backend, RangedReads, StreamedWrites, Extras, Protocol):
    """A storage with all operations, its own or added by `complete`. This is what the core calls.

    A class derived from this one promises to raise only StorageErrors.
    """

    keeps_modes: bool = False
    """Whether the backend stores the permission bits that a client sends, and returns them as
    `FileInfo.mode`."""

    keeps_times: bool = True
    """Whether the backend may store the modification time that a client sends. If not, the time is accepted,
    ignored and counted."""

    wants_grants: bool = False
    """Whether sessions get their `grants`, because the storage enforces them itself."""

    def may_spool(self, quota: SpoolQuota) -> None:
        """Called before `start` with the disk quota that the backend may use. Most backends need none.

        `quota.acquire(count)` takes bytes before the backend writes them to `quota.directory` (None: the
        system's directory of temporary files), and raises NoSpace if none are left. `quota.release(count)`
        gives them back. The backend may set `quota.reclaim`, which is called when the quota is used up, to
        free what it does not need.
        """
        return

    def object_at(self, place: Place) -> ObjectAddress | None:
        """The object that a file is, for logs. None: the storage is no object store, or no file can have the
        name."""
        return None

    async def open_file(
        self, place: Place, stop: int, session: Session
    ) -> tuple[FileInfo, AsyncIterator[Buffer] | None]:
        """Describe a file that is about to be read and, if that costs no extra request, begin to read it.

        The iterator yields the bytes `[0, stop)`, or the whole file if it is shorter, of the version
        described, as `read_file_range` would. The caller closes it.

        Raises NotFound: if there is nothing at `place`.
        Raises IsADirectory: if it is a directory.
        """
        info = await self.file_info(place, session)
        if info.is_dir:
            raise IsADirectory
        return info, None

    async def recent_info(self, place: Place, session: Session) -> FileInfo:
        """As `file_info`, for a STAT: may answer from memory with what the same session has just listed or
        changed.

        Raises NotFound: if there is nothing at `place`.
        """
        return await self.file_info(place, session)

    async def set_attributes(self, place: Place, mtime: float | None, mode: int, session: Session) -> bool:
        """Set a file's permission bits and, unless it is None, its modification time (seconds since the
        epoch), in one step. Returns whether it did. Called only if the backend `keeps_modes`.

        Raises NotFound: if there is nothing at `place`.
        """
        return False

    async def stored_digest(
        self, place: Place, info: FileInfo, algorithm: str, session: Session
    ) -> bytes | None:
        """Return the digest of a whole file, if the storage already has one that is certain to belong to the
        version in `info`. None means that the file has to be read. `algorithm` is `md5`, `sha1`, `sha256`,
        `crc32`, …"""
        return None

    async def refuse_file(self, place: Place, session: Session) -> None:
        """Raise, without a request, what a deferred `begin_write` would have raised.

        Raises IsADirectory: if it is already known that a directory has the name.
        Raises NotADirectory: if it is already known that a parent's name belongs to a file.
        """
        return

    async def require_version(self, place: Place, info: FileInfo | None, session: Session) -> None:
        """Check that the file still is the one that `info` describes or, if `info` is None, that there is
        none. Always asks the storage, never a cache.

        Raises Changed: if it is not.
        """
        try:
            present = await self.file_info(place, session)
        except NotFound:
            present = None
        if (present and present.identity) != (info and info.identity):
            raise Changed

    def copies_from(self, other: CompleteBackend) -> bool:
        """Whether `copy_from` can copy files of another storage without moving their bytes through the
        server."""
        return False

    async def copy_from(
        self,
        other: CompleteBackend,
        source: Place,
        target: Place,
        info: FileInfo,
        session: Session,
        *,
        exclusive: bool,
    ) -> FileInfo:
        """Copy a whole file of another storage, of which `copies_from` is true. Returns the new file.

        Raises AlreadyExists: if it is `exclusive` and the target exists.
        Raises Changed: if the source is no longer the version in `info`.
        Raises OtherStorage: if the store refuses such copies after all; nothing is stored then.
        """
        raise OtherStorage

    async def remove_version(self, place: Place, info: FileInfo, session: Session) -> None:
        """Remove a file that has been copied elsewhere, if it still is the one that `info` describes.

        Raises Changed: if it is not.
        """
        await self.require_version(place, info, session)
        await self.delete(place, session)

    async def write_mark(self, place: Place, session: Session) -> object:
        """What distinguishes the write that stored a file from all others, as far as the storage can: also
        from one of the same content. Always asks the storage, never a cache.

        Raises NotFound: if there is nothing at `place`.
        """
        return (await self.file_info(place, session)).identity

    def small_objects(self) -> SmallObjects | None:
        """Small objects of the server's own, beside the files; None if the storage has no room for them."""
        return None

    async def written_file(self, place: Place) -> WrittenFile | None:
        """What is at `place` now, and which write has stored it, asked by the server itself. None: nothing.

        Always asks the storage, never a cache. Raises StorageError: if the storage fails.
        """
        try:
            info = await self.file_info(place, Session(user=""))
        except NotFound:
            return None
        return WrittenFile(None, info.version, info.size, info.mtime, is_dir=info.is_dir)

    async def set_mtime(self, place: Place, mtime: float, session: Session) -> bool:
        """As `Extras.set_mtime`. This default sets no time and returns False."""
        await self.file_info(place, session)  # raises NotFound
        return False

    async def usage(self, place: Place, session: Session) -> Usage:
        """As `Extras.usage`. This default returns an unknown usage."""
        return Usage()

    async def size_of_file(self, place: Place, session: Session) -> int | None:
        """The size of the file at `place` as it is now, in bytes. None if there is none, whatever else is
        there."""
        try:
            info = await self.file_info(place, session)
        except NotFound:
            return None
        return None if info.is_dir else info.size

    async def total_below(self, place: Place, session: Session) -> Amount:
        """Count the files in a directory and everything below it, and their bytes. Nothing, or a
        file, at `place` counts as an empty directory. Files that are stored or removed meanwhile may be
        counted or not.

        This default lists one directory after the other.
        """
        total, waiting = Amount(), [place]
        while waiting:
            at = waiting.pop()
            with suppress(NotFound, NotADirectory):
                async with aclosing(cast(Any, self.list_dir(at, session))) as pages:
                    async for page in pages:
                        waiting += [at.child(entry.name) for entry in page if entry.info.is_dir]
                        files = [entry.info.size for entry in page if not entry.info.is_dir]
                        total += Amount(sum(files), len(files))
        return total

    async def read_file(self, place: Place, session: Session) -> Buffer:
        """As `Backend.read_file`; an `mmap` is returned as a view of it."""

    async def write_file(self, place: Place, data: Buffer, session: Session) -> FileInfo:
        """As `Backend.write_file`, but always returns the file that is now stored."""

    async def finish_write(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        """As `StreamedWrites.finish_write`, but always returns the file that is now stored."""
