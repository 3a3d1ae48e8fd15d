"""A request from the client that has been parsed: how to run it and what it claims."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from s3sftp.fs import VirtualPath
from s3sftp.sftp.codec import Answer
from s3sftp.sftp.handles import Handle
from s3sftp.sftp.read_request import ReadRequest
from s3sftp.sftp.scheduler import Claim


@dataclass(eq=False, slots=True)
class Request:
    """A parsed request: how to run it, the claims that order it, and the memory that it may take."""

    request_id: int
    name: str
    """The packet's type, or the extension's name."""
    run: Callable[[], Awaitable[Answer]] | ReadRequest
    """Runs the request and returns the answer packet. Raises StorageError: if the request fails. A
    `ReadRequest` runs without a task of its own, so that thousands of them can wait cheaply."""
    claims: tuple[Claim, ...] = ()
    path: VirtualPath | None = None
    target: VirtualPath | None = None
    """The new path of a rename."""
    handle: Handle | None = None
    answer_bytes: int = 0
    """The maximum size of the answer's data, in bytes."""
    packet_bytes: int = 0
    """The memory that the request itself takes while it waits, in bytes."""
    came_at: float = 0.0
    """When the request was admitted, on the event loop's clock."""
    changes: bool = False
    """The request changes names or attributes in the storage, so it is logged at level info."""
    at_once: Callable[[], Answer | None] | None = None
    """Runs the request without waiting and returns the answer. None: nothing was done, call `run`."""
    commits: bool = False
    """The request is the CLOSE of an upload: once it has arrived, a lost connection does not cancel it."""

    @property
    def is_read(self) -> bool:
        """Whether the request is a READ of a file that is open for reading."""
        return isinstance(self.run, ReadRequest)


def on_path(path: VirtualPath, *, exclusive: bool) -> Claim:
    return Claim(exclusive, path.names)


def on_entries(path: VirtualPath) -> Claim:
    """The claim of a listing, and of MKDIR in the directory: it also waits for changes to names in there."""
    return Claim(exclusive=False, path=path.names, entries=True)


def on_handle(handle: Handle, *, exclusive: bool) -> Claim:
    return Claim(exclusive, handle=handle.number)
