"""What a service is asked: one typed message for each operation of the contract, the session last.

Most are the contract's methods: their fields are the parameters, and they are answered with what the method
returns. The others cut what a method streams, or holds, into single questions:

    ListDir, EndList     a page for each ListDir, by its cursor; EndList for a listing that is left early
    ReadFileRange        a piece for each
    BeginWrite …         uploads have numbers that the server gives, so that it can abort also an upload of
                         which it heard nothing

Each message has one answer, of the type that its `answer` says, or one error of the tree in `s3sftp.errors`
(an OSError means the same), and nothing else follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from s3sftp.backends.contract import Buffer, Entry, FileInfo, Finish, Place, Session, Usage, WriteIntent

Cursor = str | bytes | int
"""Where a listing goes on; what is in it is the service's business."""

PIECE_BYTES = 512 << 10
"""The most that one ReadFileRange asks for."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing."""

    entries: Sequence[Entry]
    cursor: Cursor | None = None
    """What asks for the next page; None: this was the last."""


@dataclass(frozen=True, slots=True)
class UploadStarted:
    """How the service wants the chunks of an upload; see `Upload`."""

    chunk_bytes: int = 1 << 20
    min_chunk_bytes: int = 1
    parallel_chunks: int = 1
    keep_unit_bytes: int = 1


class Message:
    """What all have in common."""

    __slots__ = ()
    operation: ClassVar[str]
    """Its name, which is that of the contract's method."""
    takes_long: ClassVar[bool] = False
    """Whether it may take as long as a transfer does."""
    answer: ClassVar[Any] = None
    """The type of what it is answered with."""
    session: Session


@dataclass(frozen=True, slots=True)
class GetFileInfo(Message):
    operation = "file_info"
    answer = FileInfo
    place: Place
    session: Session


@dataclass(frozen=True, slots=True)
class ListDir(Message):
    """A page of a listing: the first one without a cursor."""

    operation = "list_dir"
    answer = Page
    place: Place
    cursor: Cursor | None
    session: Session


@dataclass(frozen=True, slots=True)
class EndList(Message):
    """The listing is left before its last page. A service that keeps nothing for a cursor ignores it."""

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
    """Answered with None when the storage does not say what is stored now."""

    operation = "write_file"
    takes_long = True
    answer = FileInfo | None
    place: Place
    data: Buffer
    session: Session


@dataclass(frozen=True, slots=True)
class ReadFileRange(Message):
    """At most `PIECE_BYTES`, answered with exactly these bytes. The next piece may be asked for before this
    one is answered."""

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
    """The bytes from `offset` on. Sent in the order of the file, as many at once as `UploadStarted` allows.

    Answered with the bytes that chunks have from now on, if that has changed."""

    operation = "write_chunk"
    takes_long = True
    answer = int | None
    upload: int
    offset: int
    data: Buffer
    session: Session


@dataclass(frozen=True, slots=True)
class KeepRange(Message):
    """The bytes from `offset` on are those of the base from `start` to `stop`. Counts as a chunk, and is
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
    """Answered with None when the storage does not say what is stored now."""

    operation = "finish_write"
    takes_long = True
    answer = FileInfo | None
    upload: int
    tail: Buffer
    finish: Finish
    session: Session


@dataclass(frozen=True, slots=True)
class AbortWrite(Message):
    """Succeeds also for an upload that nobody knows, or knows any more."""

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
"""By operation."""
