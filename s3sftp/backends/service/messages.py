"""The messages to a service: one type for each operation of the contract, the session last.

Most are the contract's methods: their fields are the parameters, and the answer is what the method returns.
The others divide a stream or an upload into single requests:

    ListDir, EndList     a page for each ListDir, by its cursor; EndList for a listing that is left early
    ReadFileRange        one piece for each
    BeginWrite …         the server numbers the uploads, so that it can also abort an upload whose BeginWrite
                         was not answered

Each message has exactly one answer: a value of the type in its `answer`, or one error of the tree in
`s3sftp.errors` (or an OSError with the same meaning).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from s3sftp.backends.contract import Buffer, Entry, FileInfo, Finish, Place, Session, Usage, WriteIntent

Cursor = str | bytes | int
"""Where a listing continues. Only the service interprets it."""

PIECE_BYTES = 512 << 10
"""Maximum bytes of one ReadFileRange."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing."""

    entries: Sequence[Entry]
    cursor: Cursor | None = None
    """Requests the next page; None if this is the last."""


@dataclass(frozen=True, slots=True)
class UploadStarted:
    """The chunk sizes of an upload that has begun; see `Upload`."""

    chunk_bytes: int = 1 << 20
    min_chunk_bytes: int = 1
    parallel_chunks: int = 1
    keep_unit_bytes: int = 1


class Message:
    """The base of all messages."""

    __slots__ = ()
    operation: ClassVar[str]
    """The operation, named as the contract's method."""
    takes_long: ClassVar[bool] = False
    """Whether it may take as long as a transfer."""
    answer: ClassVar[Any] = None
    """The type of its answer."""
    session: Session


@dataclass(frozen=True, slots=True)
class GetFileInfo(Message):
    operation = "file_info"
    answer = FileInfo
    place: Place
    session: Session


@dataclass(frozen=True, slots=True)
class ListDir(Message):
    """Requests a page of a listing: the first one if there is no cursor."""

    operation = "list_dir"
    answer = Page
    place: Place
    cursor: Cursor | None
    session: Session


@dataclass(frozen=True, slots=True)
class EndList(Message):
    """Ends a listing before its last page. A service that keeps no state for a cursor ignores it."""

    operation = "end_list"
    cursor: Cursor
    session: Session


@dataclass(frozen=True, slots=True)
class MakeDir(Message):
    operation = "make_dir"
    place: Place
    session: Session


@dataclass(frozen=True, slots=True)
class DelDir(Message):
    operation = "del_dir"
    place: Place
    session: Session


@dataclass(frozen=True, slots=True)
class Delete(Message):
    operation = "delete"
    place: Place
    session: Session


@dataclass(frozen=True, slots=True)
class Rename(Message):
    operation = "rename"
    takes_long = True
    source: Place
    target: Place
    overwrite: bool
    session: Session


@dataclass(frozen=True, slots=True)
class ReadFile(Message):
    operation = "read_file"
    takes_long = True
    answer = bytes
    place: Place
    session: Session


@dataclass(frozen=True, slots=True)
class WriteFile(Message):
    """Answered with None if the storage does not report what is stored now."""

    operation = "write_file"
    takes_long = True
    answer = FileInfo | None
    place: Place
    data: Buffer
    session: Session


@dataclass(frozen=True, slots=True)
class ReadFileRange(Message):
    """Reads at most `PIECE_BYTES`; the answer is exactly these bytes. The next piece may be requested before
    this one is answered."""

    operation = "read_file_range"
    answer = bytes
    place: Place
    start: int
    stop: int
    version: str | None
    session: Session


@dataclass(frozen=True, slots=True)
class BeginWrite(Message):
    operation = "begin_write"
    answer = UploadStarted
    place: Place
    intent: WriteIntent
    upload: int
    session: Session


@dataclass(frozen=True, slots=True)
class WriteChunk(Message):
    """Sends the bytes from `offset` on. Chunks are sent in the order of the file, as many at once as
    `UploadStarted` allows.

    The answer is the chunk size from now on, if that has changed.
    """

    operation = "write_chunk"
    takes_long = True
    answer = int | None
    upload: int
    offset: int
    data: Buffer
    session: Session


@dataclass(frozen=True, slots=True)
class KeepRange(Message):
    """Makes the bytes from `offset` on those of the base from `start` to `stop`. Counts as a chunk, and is
    answered as one."""

    operation = "keep_range"
    takes_long = True
    answer = int | None
    upload: int
    offset: int
    start: int
    stop: int
    session: Session


@dataclass(frozen=True, slots=True)
class FinishWrite(Message):
    """Answered with None if the storage does not report what is stored now."""

    operation = "finish_write"
    takes_long = True
    answer = FileInfo | None
    upload: int
    tail: Buffer
    finish: Finish
    session: Session


@dataclass(frozen=True, slots=True)
class AbortWrite(Message):
    """Also succeeds for an upload that is unknown, or no longer known."""

    operation = "abort_write"
    upload: int
    session: Session


@dataclass(frozen=True, slots=True)
class Copy(Message):
    operation = "copy"
    takes_long = True
    answer = FileInfo
    source: Place
    target: Place
    version: str | None
    session: Session


@dataclass(frozen=True, slots=True)
class SetMtime(Message):
    operation = "set_mtime"
    takes_long = True
    answer = bool
    place: Place
    mtime: float
    session: Session


@dataclass(frozen=True, slots=True)
class GetUsage(Message):
    operation = "usage"
    answer = Usage
    place: Place
    session: Session


MESSAGES: dict[str, type[Message]] = {
    kind.operation: kind
    for kind in (
        *(GetFileInfo, ListDir, EndList, MakeDir, DelDir, Delete, Rename, ReadFile, WriteFile),
        *(ReadFileRange, BeginWrite, WriteChunk, KeepRange, FinishWrite, AbortWrite),
        *(Copy, SetMtime, GetUsage),
    )
}
"""The messages by operation."""
