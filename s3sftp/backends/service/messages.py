"""What a service is asked: one typed message for each operation of the contract, the session last.

    message                          answered with
    GetFileInfo                      FileInfo
    ListDir, a page for each         Page, with the cursor of the next one or None
    EndList, of one left early       None
    MakeDir DelDir Delete Rename     None
    ReadFile, ReadFileRange          bytes, exactly those that were asked for
    WriteFile, FinishWrite           FileInfo, or None when the storage does not say
    BeginWrite                       Begun
    WriteChunk, KeepRange            None, or the bytes that chunks have from now on
    AbortWrite                       None; also for an upload that nobody knows (any more)
    Copy SetMtime GetUsage           FileInfo, bool, Usage

Each has one answer, or one error of the tree in `s3sftp.errors` (an OSError means the same), and nothing else
follows. Uploads have numbers that the server gives, so that it can abort also what it heard nothing of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from s3sftp.backends.contract import Buffer, Entry, Finish, Place, Session, WriteIntent

Cursor = str | bytes | int
"""Where a listing goes on; what is in it is the service's business."""


class Message:
    """What all have in common."""

    __slots__ = ()
    operation: ClassVar[str]
    """Its name, which is that of the contract's method."""
    takes_long: ClassVar[bool] = False
    """Whether it may take as long as a transfer does."""
    session: Session


@dataclass(frozen=True, slots=True)
class GetFileInfo(Message):
    operation = "file_info"
    place: Place
    session: Session


@dataclass(frozen=True, slots=True)
class ListDir(Message):
    """A page of a listing: the first one without a cursor."""

    operation = "list_dir"
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
    place: Place
    session: Session


@dataclass(frozen=True, slots=True)
class WriteFile(Message):
    operation = "write_file"
    takes_long = True
    place: Place
    data: Buffer
    session: Session


@dataclass(frozen=True, slots=True)
class ReadFileRange(Message):
    """At most `PIECE_BYTES`; the next piece may be asked for before this one is answered."""

    operation = "read_file_range"
    place: Place
    start: int
    stop: int
    version: str | None
    session: Session


@dataclass(frozen=True, slots=True)
class BeginWrite(Message):
    operation = "begin_write"
    place: Place
    intent: WriteIntent
    upload: int
    session: Session


@dataclass(frozen=True, slots=True)
class WriteChunk(Message):
    """The bytes from `offset` on. Sent in the order of the file, as many at once as `Begun` allows."""

    operation = "write_chunk"
    takes_long = True
    upload: int
    offset: int
    data: Buffer
    session: Session


@dataclass(frozen=True, slots=True)
class KeepRange(Message):
    """The bytes from `offset` on are those of the base from `start` to `stop`. Counts as a chunk."""

    operation = "keep_range"
    takes_long = True
    upload: int
    offset: int
    start: int
    stop: int
    session: Session


@dataclass(frozen=True, slots=True)
class FinishWrite(Message):
    operation = "finish_write"
    takes_long = True
    upload: int
    tail: Buffer
    finish: Finish
    session: Session


@dataclass(frozen=True, slots=True)
class AbortWrite(Message):
    operation = "abort_write"
    upload: int
    session: Session


@dataclass(frozen=True, slots=True)
class Copy(Message):
    operation = "copy"
    takes_long = True
    source: Place
    target: Place
    version: str | None
    session: Session


@dataclass(frozen=True, slots=True)
class SetMtime(Message):
    operation = "set_mtime"
    takes_long = True
    place: Place
    mtime: float
    session: Session


@dataclass(frozen=True, slots=True)
class GetUsage(Message):
    operation = "usage"
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

PIECE_BYTES = 512 << 10
"""The most that one ReadFileRange asks for."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing."""

    entries: Sequence[Entry]
    cursor: Cursor | None = None
    """What asks for the next page; None: this was the last."""


@dataclass(frozen=True, slots=True)
class Begun:
    """How the service wants the chunks of an upload; see `Upload`."""

    chunk_bytes: int = 1 << 20
    min_chunk_bytes: int = 1
    parallel_chunks: int = 1
    keep_unit_bytes: int = 1
