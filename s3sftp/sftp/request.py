"""A request that has been understood, and not yet begun."""

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
    """What to do, after whom, and how much memory its answer may take."""

    request_id: int
    name: str
    """The packet's type, or the extension's name."""
    run: Callable[[], Awaitable[Answer]] | ReadRequest
    """Runs the request and returns the answer packet. Raises StorageError if it fails. A `ReadRequest` runs
    without a task of its own, so that thousands of them can wait cheaply."""
    claims: tuple[Claim, ...] = ()
    path: VirtualPath | None = None
    target: VirtualPath | None = None
    """Where a rename leads."""
    handle: Handle | None = None
    answer_bytes: int = 0
    """How large the answer's data may be."""
    packet_bytes: int = 0
    """How much memory the request itself takes while it waits."""
    came_at: float = 0.0
    """When it was admitted, on the loop's clock."""
    changes: bool = False
    """It changes what is stored: worth a log line."""
    at_once: Callable[[], Answer | None] | None = None
    """Does it and returns the answer, if nothing has to be waited for; None: nothing was done, `run` must."""
    commits: bool = False
    """It is the CLOSE of an upload: once it has begun, a lost connection does not stop it."""

    @property
    def is_read(self) -> bool:
        """Whether it reads a file that is open for reading."""
        return isinstance(self.run, ReadRequest)


def on_path(path: VirtualPath, *, exclusive: bool) -> Claim:
    return Claim(exclusive, path.names)


def on_entries(path: VirtualPath) -> Claim:
    """Of a listing, and of MKDIR in the directory: it waits for what changes names in the directory, too."""
    return Claim(exclusive=False, path=path.names, entries=True)


def on_handle(handle: Handle, *, exclusive: bool) -> Claim:
    return Claim(exclusive, handle=handle.number)
