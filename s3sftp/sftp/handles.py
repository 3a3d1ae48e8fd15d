"""The table of open files and directories of one SFTP session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from s3sftp.errors import Busy, InvalidRequest
from s3sftp.fs import OpenDirectory, OpenReader, OpenWriter, VirtualPath
from s3sftp.sftp.codec import u32
from s3sftp.sftp.user_handles import UserHandles
from s3sftp.telemetry.metric_catalogue import OPEN_HANDLES
from s3sftp.telemetry.metrics import Metrics

Opened = OpenReader | OpenWriter | OpenDirectory


@dataclass(eq=False, slots=True)
class Handle:
    """One open file or directory."""

    number: int
    opened_as: VirtualPath
    opened: Opened
    may_become: list[VirtualPath] = field(default_factory=list)
    """The new names that pending renames will give the file, in the order of their arrival."""
    closing: bool = False
    """A CLOSE has arrived. Later requests must not use the handle."""
    pending: int = 0
    """Requests on this handle that have been admitted and not answered."""

    @property
    def path(self) -> VirtualPath:
        """The current path: an upload follows renames of its name."""
        return self.opened.path if isinstance(self.opened, OpenWriter) else self.opened_as

    @property
    def wire(self) -> bytes:
        return u32(self.number)


class HandleTable:
    """The handles of one session, by the four bytes that name them on the wire and mean nothing elsewhere."""

    def __init__(
        self,
        most: int,
        most_directories: int,
        metrics: Metrics | None = None,
        of_user: UserHandles | None = None,
    ) -> None:
        """`of_user`: the handles of all sessions of the user."""
        self._of_user = of_user
        self._count = (metrics or Metrics()).add
        self._most = most
        self._most_directories = most_directories
        self._table: dict[bytes, Handle] = {}
        self._opening = 0
        self._opening_directories = 0
        self._next = 1

    def __len__(self) -> int:
        return len(self._table)

    @contextmanager
    def reserve(self, *, directory: bool) -> Iterator[None]:
        """Reserve a handle while a file or directory is being opened.

        The user's count ends with the handle, or at once if the opening fails. Raises Busy: if the session or
        its user has the maximum of handles, or the session that of directories, open or opening.
        """
        if len(self._table) + self._opening >= self._most:
            raise Busy(f"too many open files (at most {self._most} in a session)")
        directories = len(self._table) - self.files + self._opening_directories
        if directory and directories >= self._most_directories:
            raise Busy(f"too many open directories (at most {self._most_directories} in a session)")
        if self._of_user is not None:
            self._of_user.take()
        self._opening += 1
        self._opening_directories += directory
        try:
            yield
        except BaseException:
            self._count_for_user(-1)
            raise
        finally:
            self._opening -= 1
            self._opening_directories -= directory

    def add(self, path: VirtualPath, opened: Opened) -> Handle:
        """Add the handle that `reserve` has counted."""
        handle = Handle(self._next, path, opened)
        self._next += 1
        self._table[handle.wire] = handle
        self._count(_row_of(handle), 1)
        return handle

    def find(self, wire: bytes | memoryview) -> Handle:
        """The handle that a client names. Raises InvalidRequest: if it is unknown or closing."""
        handle = self._table.get(bytes(wire)) if len(wire) == 4 else None
        if handle is None or handle.closing:
            raise InvalidRequest("invalid handle")
        return handle

    def renaming(self, source: VirtualPath, target: VirtualPath) -> list[tuple[Handle, VirtualPath]]:
        """Note a rename that has arrived. Returns the uploads that it may move, each with its new path.

        The caller removes each path from `may_become` when the rename has ended.
        """
        depth = len(source.names)
        moving = [
            (handle, VirtualPath(target.names + path.names[depth:]))
            for handle in self._table.values()
            if isinstance(handle.opened, OpenWriter)
            and (path := handle.may_become[-1] if handle.may_become else handle.path).is_within(source)
        ]
        for handle, path in moving:
            handle.may_become.append(path)
        return moving

    def remove(self, handle: Handle) -> None:
        """Remove a closed handle. Does nothing if it has been removed."""
        if self._table.pop(handle.wire, None) is not None:
            self._count(_row_of(handle), -1)
            self._count_for_user(-1)

    def _count_for_user(self, count: int) -> None:
        if self._of_user is not None:
            self._of_user.add(count)

    def all(self) -> list[Handle]:
        return list(self._table.values())

    @property
    def files(self) -> int:
        """How many of the handles are files."""
        return sum(not isinstance(handle.opened, OpenDirectory) for handle in self._table.values())


def _row_of(handle: Handle) -> int:
    match handle.opened:
        case OpenDirectory():
            return OPEN_HANDLES.row("directory")
        case OpenWriter():
            return OPEN_HANDLES.row("write")
    return OPEN_HANDLES.row("read")
