"""Uploads to a storage that streams writes: its own four methods, and `keep_range` for one that lacks it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from s3sftp.backends import contract
from s3sftp.backends.capabilities import Capabilities
from s3sftp.backends.complete.guard import BackendGuard
from s3sftp.backends.contract import Buffer, Extras, FileInfo, Finish, Place, Session, Upload, WriteIntent
from s3sftp.errors import StorageFailure
from s3sftp.telemetry import get_logger

_log = get_logger(__name__)

ReadRange = Callable[[Place, int, int, str | None, Session], AsyncIterator[Buffer]]
"""`RangedReads.read_file_range`."""


class Rechunker:
    """Cuts pieces of any size into chunks of exactly the size that an upload requires.

    It writes one chunk after the other. The last bytes stay in `rest`: they are the tail if nothing follows.
    """

    def __init__(self, upload: Upload, write: Callable[[Buffer], Awaitable[None]]) -> None:
        self.rest = bytearray()
        self._upload = upload
        self._write = write

    async def put(self, data: Buffer) -> None:
        """Append bytes, and write every chunk that is full."""
        self.rest += data
        while len(self.rest) > self._upload.chunk_bytes:
            size = self._upload.chunk_bytes
            chunk = bytes(self.rest[:size])
            del self.rest[:size]
            await self._write(chunk)


def base_of(intent: WriteIntent) -> FileInfo:
    """The file of which bytes are kept."""
    if intent.base is None:
        raise StorageFailure(detail="bytes of an old file are to be kept, and there is none")
    return intent.base


class StreamedUpload(Upload):
    """The backend's upload with the state that we keep for it."""

    def __init__(self, writes: StreamedUploads, place: Place, intent: WriteIntent, theirs: Upload) -> None:
        self.writes = writes
        self.place = place
        self.intent = intent
        self.theirs = theirs
        self.size = 0
        """Bytes received so far, so that no backend has to count them."""
        self.recut: Rechunker | None = None
        """Set when the first range is kept by writing its bytes: from then on chunks are cut anew, and
        written one after the other."""
        self.lock = asyncio.Lock()
        self.ended = False
        self.completed: FileInfo | None = None
        """The file that the backend's `finish_write` has made visible, once it has returned."""

    # read from the backend's upload at every access, because its sizes may grow with each chunk
    @property
    def chunk_bytes(self) -> int:  # type: ignore[override]
        return self.theirs.chunk_bytes

    @property
    def min_chunk_bytes(self) -> int:  # type: ignore[override]
        return self.theirs.min_chunk_bytes

    @property
    def keep_unit_bytes(self) -> int:  # type: ignore[override]
        return self.theirs.keep_unit_bytes

    @property
    def parallel_chunks(self) -> int:  # type: ignore[override]
        return self.theirs.parallel_chunks

    @property
    def stored(self) -> FileInfo | None:  # type: ignore[override]
        return self.completed or self.theirs.stored


class StreamedUploads:
    """The four methods of a backend that has them."""

    def __init__(self, theirs: BackendGuard, can: Capabilities, read_range: ReadRange) -> None:
        self._theirs = theirs
        self._can = can
        self._read_range = read_range

    async def begin(self, place: Place, intent: WriteIntent, session: Session) -> Upload:
        theirs = await self._theirs.call(contract.StreamedWrites.begin_write, place, intent, session)
        return StreamedUpload(self, place, intent, theirs)

    async def chunk(self, upload: Upload, data: Buffer, session: Session) -> None:
        mine = _ours(upload)
        if mine.recut is None:
            await self._write(mine, data, session)
        else:
            async with mine.lock:
                await mine.recut.put(data)
        mine.size += len(data)

    async def keep_range(self, upload: Upload, start: int, stop: int, session: Session) -> None:
        """Keep a range. Without a method for it, the bytes are read, and written at their position."""
        mine = _ours(upload)
        mine.size += stop - start
        if self._can.has(Extras.keep_range):
            await self._theirs.call(Extras.keep_range, mine.theirs, start, stop, session)
            return
        base = base_of(mine.intent)
        if mine.recut is None:
            mine.recut = Rechunker(mine, lambda chunk: self._write(mine, chunk, session))
        async with mine.lock:
            async for piece in self._read_range(mine.place, start, stop, base.version, session):
                await mine.recut.put(piece)

    async def finish(self, upload: Upload, tail: Buffer, finish: Finish, session: Session) -> FileInfo:
        mine = _ours(upload)
        size = mine.size + len(tail)
        if size != finish.size:
            raise StorageFailure(detail=f"{size} bytes came, {finish.size} were announced")
        if mine.recut is not None:
            await mine.recut.put(tail)
            tail = bytes(mine.recut.rest)
        stored = await self._theirs.finish_write(mine.theirs, tail, finish, session)
        mine.ended = True  # whatever validation says of the answer: a file that is visible is not aborted
        mine.completed = FileInfo.file(size, finish.mtime)
        mine.completed = await self._theirs.stored("finish_write", stored, mine.place, session)
        return mine.completed

    async def abort(self, upload: Upload, session: Session) -> None:
        """Abort the upload once. A failure of the backend is only logged."""
        mine = _ours(upload)
        if mine.ended:
            return
        try:
            await self._theirs.call(contract.StreamedWrites.abort_write, mine.theirs, session)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            detail = getattr(error, "detail", None)
            _log.warning("upload.abort_failed", backend=self._theirs.name, error=problem, detail=detail)
        else:
            mine.ended = True

    async def _write(self, mine: StreamedUpload, data: Buffer, session: Session) -> None:
        await self._theirs.call(contract.StreamedWrites.write_chunk, mine.theirs, data, session)


def _ours(upload: Upload) -> StreamedUpload:
    if not isinstance(upload, StreamedUpload):
        raise StorageFailure(detail="an upload of another backend")
    return upload
