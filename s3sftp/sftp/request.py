"""A request from the client that has been parsed: how to run it and what it claims.

    Operations.prepare ─┬─► Request ─────────────────────► Scheduler ─► a task
                        │                                     │
                        └─► ReadRequest, WriteRequest ─► `queued`: the same request, which waits its turn
                              └─► `answer_at_once`: no task and no claim

Most READs and WRITEs need not wait. They are objects of their own, because making a `Request` for each would
cost as much as parsing it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from s3sftp.fs import AwaitedRange, OpenReader, OpenWriter, VirtualPath
from s3sftp.sftp.codec import Answer, data_packet
from s3sftp.sftp.handles import Handle
from s3sftp.sftp.scheduler import Claim
from s3sftp.sftp.status import Status, ok_packet, status_packet


class TransferRequest:
    """A READ or WRITE of an open file, which most of the time can be answered at once."""

    __slots__ = ("handle", "request_id")
    name: str
    operation: str
    """The operation that it counts as."""
    is_read = False
    target: VirtualPath | None = None
    changes = False

    def __init__(self, request_id: int, handle: Handle) -> None:
        self.request_id = request_id
        self.handle = handle

    @property
    def path(self) -> VirtualPath:
        return self.handle.path

    def answer_at_once(self) -> Answer | None:
        """Run the request and return the answer. None: it would have to wait, and nothing was done."""
        raise NotImplementedError

    def queued(self) -> Request:
        """The same request, to be scheduled."""
        raise NotImplementedError


class ReadRequest(TransferRequest):
    """A READ of a file that is open for reading. It runs without a task, because many are in flight at once.

    Once it is queued, `begin` starts it when the send buffer has room, and `answer` is called whenever bytes
    arrive.
    """

    __slots__ = ("_awaited", "_length", "_offset", "opened")
    name = "READ"
    operation = "read"
    is_read = True

    def __init__(self, request_id: int, handle: Handle, opened: OpenReader, offset: int, length: int) -> None:
        self.request_id = request_id
        self.handle = handle
        self.opened = opened
        self._offset = offset
        self._length = length
        self._awaited: AwaitedRange | None = None

    @property
    def most_bytes(self) -> int:
        """How many bytes the answer may have."""
        return max(0, min(self._length, self.opened.info.size - self._offset))

    def answer_at_once(self) -> Answer | None:
        views = self.opened.try_read(self._offset, self._length)
        return None if views is None else data_answer(self.request_id, views, self._length)

    def queued(self) -> Request:
        handle = self.handle
        claims = (on_handle(handle, exclusive=False),)
        return Request(
            self.request_id,
            self.name,
            self,
            claims,
            handle.path,
            handle=handle,
            answer_bytes=self._length,
            size=self.most_bytes,
        )

    def begin(self) -> None:
        """Make sure that the requested bytes are being fetched."""
        self._awaited = self.opened.expect(self._offset, self._length)

    def answer(self) -> Answer | None:
        """The answer, or None if bytes are still missing.

        Raises StorageError: if the bytes cannot be read. The READ has ended then.
        """
        if self._awaited is None:
            if (answer := self.answer_at_once()) is not None:
                return answer
            self._awaited = self.opened.expect(self._offset, self._length)
        views = self.opened.collect(self._awaited)
        return None if views is None else data_answer(self.request_id, views, self._length)

    def forget(self) -> None:
        """Give the READ up: its bytes are no longer needed."""
        if self._awaited is not None:
            self.opened.forget(self._awaited)


class WriteRequest(TransferRequest):
    """A WRITE to a file that is open for writing."""

    __slots__ = ("_data", "_offset", "_opened")
    name = "WRITE"
    operation = "write"

    def __init__(
        self, request_id: int, handle: Handle, opened: OpenWriter, offset: int, data: memoryview
    ) -> None:
        self.request_id = request_id
        self.handle = handle
        self._opened = opened
        self._offset = offset
        self._data = data

    @property
    def size(self) -> int:
        """How many bytes it brings."""
        return len(self._data)

    def answer_at_once(self) -> Answer | None:
        return ok_packet(self.request_id) if self._opened.try_write(self._offset, self._data) else None

    def queued(self) -> Request:
        handle = self.handle
        claims = (on_handle(handle, exclusive=True),)
        return Request(
            self.request_id,
            self.name,
            self._run,
            claims,
            handle.path,
            handle=handle,
            answer_at_once=self.answer_at_once,
            size=self.size,
        )

    async def _run(self) -> bytes:
        await self._opened.write(self._offset, self._data)
        return ok_packet(self.request_id)


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
    handle: Handle | None = None
    answer_at_once: Callable[[], Answer | None] | None = None
    """Runs the request without waiting and returns the answer. None: nothing was done, call `run`."""
    answer_bytes: int = 0
    """The maximum size of the answer's data, in bytes."""
    target: VirtualPath | None = None
    """The new path of a rename."""
    packet_bytes: int = 0
    """The memory that the request itself takes while it waits, in bytes."""
    came_at: float = 0.0
    """When the request arrived, on the event loop's clock."""
    changes: bool = False
    """The request changes names or attributes in the storage, so it is logged at level info."""
    size: int = 0
    """How many bytes of the file a READ or WRITE moves at most."""
    is_traced: bool = True
    """Whether it has a span of its own while tracing is on."""
    commits: bool = False
    """The request is the CLOSE of an upload: once it has arrived, a lost connection does not cancel it."""

    @property
    def is_read(self) -> bool:
        """Whether the request is a READ of a file that is open for reading."""
        return isinstance(self.run, ReadRequest)


def data_answer(request_id: int, views: list[memoryview], length: int) -> Answer:
    """DATA, or EOF if a READ of `length` bytes, more than 0, found none."""
    if not any(views) and length:
        return status_packet(request_id, Status.EOF)
    return data_packet(request_id, views)


def on_path(path: VirtualPath, *, exclusive: bool) -> Claim:
    return Claim(exclusive, path.names)


def on_entries(path: VirtualPath) -> Claim:
    """The claim of a listing, and of MKDIR in the directory: it also waits for changes to names in there."""
    return Claim(exclusive=False, path=path.names, entries=True)


def on_handle(handle: Handle, *, exclusive: bool) -> Claim:
    return Claim(exclusive, handle=handle.number)
