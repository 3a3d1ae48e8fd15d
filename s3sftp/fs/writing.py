"""An open file that is written: pipelined WRITEs in, chunks out, published by CLOSE and by nothing else.

    WRITE ─► Assembly (in order, in memory) ─► Pump (chunks, several at once) ─► storage
    CLOSE ─► fill what is missing from the old file ─► drain ─► finish_write ─► only now: OK
    anything else that ends it ─► abort_write

With `rewrite = "spool"`, what was sent is kept in a spool file too; a write that goes back behind it
throws the upload away and goes on in the spool, which CLOSE sends again from the start.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from s3sftp.backends import Backend, FileInfo, Finish, Place, Session, Upload, WriteIntent
from s3sftp.errors import InvalidRequest, IsADirectory, NotFound, StorageFailure, Unsupported
from s3sftp.fs.assembly import Assembly, RewriteNeeded
from s3sftp.fs.budget import Budget
from s3sftp.fs.options import FileOptions
from s3sftp.fs.pump import Pump
from s3sftp.fs.spool import Spool, SpoolRoom

_SMALL_BYTES = 256 << 10
"""Files up to this size need no reservation: there are many, and each is soon stored."""


@dataclass(frozen=True, slots=True)
class WriteMode:
    """What the open flags say."""

    exclusive: bool = False
    truncate: bool = False
    append: bool = False
    create: bool = True


@dataclass(frozen=True, slots=True)
class WriterTools:
    """What all writers of the process share."""

    backend: Backend
    options: FileOptions
    budget: Budget
    spool_room: SpoolRoom


@dataclass(frozen=True, slots=True)
class _Clone:
    """The whole new file is a copy of this one, made inside the storage."""

    place: Place
    info: FileInfo


class Writer:
    """Puts one file together and publishes it. Its calls come one at a time, in the client's order."""

    def __init__(
        self, tools: WriterTools, place: Place, mode: WriteMode, session: Session, base: FileInfo | None
    ) -> None:
        """`base` is the present file when it is known already; unknown is asked for only if it matters."""
        self.place = place
        self.mtime: float | None = None
        self.opened_at = time.time()
        self.written = 0
        self._tools = tools
        self._mode = mode
        self._session = session
        self._base = base
        self._pump = Pump(tools.backend, place, session, tools.budget)
        self._assembly = Assembly(tools.options.reorder_bytes, base_known=mode.truncate or mode.exclusive)
        self._spool: Spool | None = None
        self._spooled = False
        self._clone: _Clone | None = None
        self._failure: Exception | None = None
        self._zeros = 0
        self._base_kept = False
        if base is not None and not mode.truncate:
            self._assembly.learn_base(base.size)

    async def begin(self) -> None:
        """Let the backend refuse a name now that it would refuse at the first chunk. Costs no request."""
        if self._assembly.base_known:
            await self._begin()

    @property
    def size(self) -> int:
        """Bytes of the file so far."""
        return self._clone.info.size if self._clone is not None else self._assembly.length

    def try_write(self, offset: int, data: memoryview) -> bool:
        """Take the bytes if nothing has to be waited for; False: `write` must be called."""
        assembly = self._assembly
        if (
            self._failure is not None
            or self._pump.failure is not None
            or self._clone is not None
            or self._spooled
            or self._mode.append
            or offset != assembly.cut + assembly.front
            or assembly.front + len(data) >= self._pump.chunk_bytes
            or not self._tools.budget.try_take(len(data), self, self._wanted(len(data)))
        ):
            return False
        self._place_bytes(offset, data)
        return True

    async def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write bytes at an offset; returns when there is room for more.

        Raises Unsupported for a write that cannot be put in order, and the failure of an earlier chunk.
        """
        with self._failing_for_good():
            await self._before_write(offset)
            if self._mode.append:
                offset = self.size
            if self._spooled:
                await self._write_spooled(offset, data)
                return
            await self._take_room(len(data))
            try:
                await self._place(offset, data)
            except RewriteNeeded as reason:
                self._tools.budget.give(len(data))
                await self._go_on_in_spool(reason)
                await self._write_spooled(offset, data)
                return
            await self._send_full_chunks()

    async def read(self, offset: int, length: int) -> bytes:
        """Read back, from memory, the spool or the old file. Raises Unsupported for what is in storage."""
        await self._unclone()
        await self._need_base()
        stop = min(offset + length, self.size)
        pieces: list[bytes] = []
        while offset < stop:
            pieces.append(await self._read_piece(offset, stop))
            offset += len(pieces[-1])
        return b"".join(pieces)

    async def stat(self) -> FileInfo:
        """The file as it would be if it were closed now."""
        if not self._assembly.resized:
            await self._need_base()
        return FileInfo.file(self.size, self.opened_at if self.mtime is None else self.mtime)

    async def resize(self, size: int) -> None:
        """FSETSTAT with a size: cut off or enlarge. Raises Unsupported below what was already sent."""
        with self._failing_for_good():
            self._pump.raise_failure()
            if self._clone is not None and size == self.size:
                return
            await self._unclone()
            held = self._assembly.held
            try:
                self._assembly.resize(size)
            except RewriteNeeded as reason:
                await self._go_on_in_spool(reason)
                self._assembly.resize(size)
            else:
                self._tools.budget.give(held - self._assembly.held)
            if self._spool is not None:
                self._spool.cut_off(size)

    def copy_whole(self, place: Place, info: FileInfo) -> bool:
        """Become a copy of a whole file, made by the storage at CLOSE; False if that cannot be any more."""
        if self._assembly.touched or self._assembly.length or self._mode.exclusive or self._clone:
            return False
        self._clone = _Clone(place, info)
        return True

    async def sync(self) -> None:
        """Wait until every full chunk is stored; publishes nothing. Raises the failure of a chunk."""
        with self._failing_for_good():
            await self._pump.drain()

    async def close(self) -> FileInfo:
        """Publish the file and return what is now stored; after an error nothing is published."""
        try:
            if self._failure is not None:
                raise self._failure
            return await self._commit()
        finally:
            await self._let_go()

    async def abort(self) -> None:
        """Throw everything away."""
        self._failure = self._failure or InvalidRequest("the upload was aborted")
        await self._let_go()

    # ── commit ──────────────────────────────────────────────────────────────────────────────────────

    async def _commit(self) -> FileInfo:
        if self._clone is not None:
            return await self._commit_clone(self._clone)
        if self._spooled:
            await self._replay()
        if self._may_keep_base:
            await self._need_base()
        if self._base is not None and not self._mode.truncate and self._is_unchanged(self._base):
            return await self._with_mtime(self._base)
        await self._send_all_but_tail()
        await self._begin()
        tail = self._assembly.take(self._assembly.front)
        try:
            finish = Finish(self._assembly.length, self.mtime, self._base_kept)
            return await self._pump.finish(tail, finish)
        finally:
            self._tools.budget.give(len(tail))

    async def _commit_clone(self, clone: _Clone) -> FileInfo:
        copied = await self._tools.backend.copy(
            clone.place, self.place, self._session, version=clone.info.version
        )
        return await self._with_mtime(copied)

    async def _with_mtime(self, info: FileInfo) -> FileInfo:
        if self.mtime is not None:
            await self._tools.backend.set_mtime(self.place, self.mtime, self._session)
        return info

    @property
    def _may_keep_base(self) -> bool:
        """Whether bytes of an old file could survive; if not, it need not be asked for."""
        start, _ = self._assembly.gap()
        is_complete = start >= self._assembly.length
        return not (is_complete and self._assembly.resized)

    def _is_unchanged(self, base: FileInfo) -> bool:
        assembly = self._assembly
        return not assembly.cut and not assembly.held and assembly.length == assembly.base_stop == base.size

    async def _send_all_but_tail(self) -> None:
        """Bring everything but the last bytes on its way, filling gaps from the old file or with zeros."""
        while True:
            await self._send_full_chunks()
            start, stop = self._assembly.gap()
            if start >= self._assembly.length:
                return
            if start < self._assembly.base_stop:
                await self._fill_from_base(start, min(stop, self._assembly.base_stop))
            else:
                self._fill_with_zeros(start, stop)

    async def _fill_from_base(self, start: int, stop: int) -> None:
        """Keep a range inside the storage if it is large enough and starts at the cut; else read it."""
        upload = await self._begin()
        self._base_kept = True
        if start == self._assembly.cut and stop - start >= upload.min_chunk_bytes:
            await self._pump.keep(start, stop)
            self._assembly.skip(stop)
            return
        data = await self._read_base(start, min(stop, self._assembly.cut + upload.chunk_bytes))
        await self._take_room(len(data))
        self._assembly.fill(start, data)

    def _fill_with_zeros(self, start: int, stop: int) -> None:
        assembly, options = self._assembly, self._tools.options
        if start < assembly.zeros_stop:
            stop = min(stop, assembly.zeros_stop)
        elif options.gaps == "refuse":
            raise InvalidRequest(f"bytes {start} to {stop} were never written; the file is not stored")
        if self._zeros + stop - start > options.max_zero_fill_bytes:  # known before the first is sent
            raise Unsupported(f"more than {options.max_zero_fill_bytes} bytes were never written")
        count = min(stop - start, max(1, self._pump.chunk_bytes - assembly.front))
        self._zeros += count
        self._tools.budget.force(count)
        assembly.fill(start, bytes(count))

    # ── the way of the bytes ────────────────────────────────────────────────────────────────────────

    def _wanted(self, count: int) -> int:
        """What to reserve for `count` more bytes: the rest of the chunk, unless the file may be small."""
        front = self._assembly.front
        return count if front + count <= _SMALL_BYTES else max(count, self._pump.chunk_bytes - front)

    async def _take_room(self, count: int) -> None:
        await self._tools.budget.take(count, self, self._wanted(count))

    async def _before_write(self, offset: int) -> None:
        self._pump.raise_failure()
        await self._unclone()
        starts_in_the_middle = offset > 0 and not self._assembly.touched
        if self._mode.append or starts_in_the_middle:
            await self._need_base()

    async def _place(self, offset: int, data: bytes | memoryview) -> None:
        """Place bytes; where too much waits behind bytes of the old file, those are kept first."""
        try:
            self._place_bytes(offset, data)
        except RewriteNeeded:
            start, stop = self._assembly.gap()
            if offset < self._assembly.cut or stop > self._assembly.base_stop:
                raise
            while start < stop:
                await self._fill_from_base(start, stop)
                await self._send_full_chunks()
                start, stop = self._assembly.gap()[0], stop
            self._place_bytes(offset, data)

    def _place_bytes(self, offset: int, data: bytes | memoryview) -> None:
        """Put bytes, already taken from the budget, into the assembly."""
        held = self._assembly.held
        self._assembly.write(offset, data)
        self.written += len(data)
        rewritten = len(data) - (self._assembly.held - held)
        if rewritten:
            self._tools.budget.give(rewritten)

    async def _send_full_chunks(self) -> None:
        if self._assembly.appends_to_base():
            await self._fill_from_base(*self._assembly.gap())
        if self._assembly.front < self._pump.chunk_bytes:
            return
        await self._need_base()
        upload = await self._begin()
        while self._assembly.front >= upload.chunk_bytes:
            if self._tools.options.rewrite == "spool" and not self._spooled:
                await self._mirror(upload.chunk_bytes)
            chunk = self._assembly.take(upload.chunk_bytes)
            self._tools.budget.send(len(chunk), self)
            await self._pump.push(chunk)

    async def _begin(self) -> Upload:
        base = None if self._mode.truncate else self._base
        return await self._pump.begin(WriteIntent(self._mode.exclusive, base, self.mtime))

    # ── the old file, the file that is copied, the spool ────────────────────────────────────────────

    async def _need_base(self) -> None:
        """Find out whether there is an old file, once."""
        if self._assembly.base_known:
            return
        try:
            self._base = await self._tools.backend.file_info(self.place, self._session)
        except NotFound:
            self._base = None
        if self._base is not None and self._base.is_dir:
            raise IsADirectory
        self._assembly.learn_base(self._base.size if self._base else 0)

    async def _read_base(self, start: int, stop: int) -> bytes:
        if self._base is None:
            raise StorageFailure("an old file is needed and there is none")
        return await self._read_file(self.place, start, stop, self._base)

    async def _read_file(self, place: Place, start: int, stop: int, info: FileInfo) -> bytes:
        pieces = self._tools.backend.read_file_range(place, start, stop, info.version, self._session)
        return b"".join([bytes(piece) async for piece in pieces])

    async def _unclone(self) -> None:
        """Something else than the whole copy is wanted: fetch the bytes and write them."""
        if self._clone is None:
            return
        clone, self._clone = self._clone, None
        for start in range(0, clone.info.size, 1 << 20):
            stop = min(start + (1 << 20), clone.info.size)
            await self.write(start, await self._read_file(clone.place, start, stop, clone.info))

    async def _read_piece(self, offset: int, stop: int) -> bytes:
        """Some bytes from `offset` on, up to `stop` at most."""
        held = self._assembly.peek(offset, stop - offset)
        if held is not None:
            return held
        stop = min(stop, self._assembly.next_island(offset))
        extent = self._spool.next_extent(offset) if self._spool is not None else None
        if self._spool is not None and extent is not None:
            if extent[0] == offset:
                return await self._spool.read(offset, min(stop, extent[1]))
            stop = min(stop, extent[0])
        if offset < self._assembly.cut:
            raise Unsupported("these bytes are on their way to storage: they can be read after CLOSE")
        if offset < self._assembly.base_stop:
            return await self._read_base(offset, min(stop, self._assembly.base_stop))
        return bytes(min(stop - offset, 1 << 20))

    async def _open_spool(self) -> Spool:
        if self._spool is None:
            self._spool = await Spool.open(self._tools.spool_room)
        return self._spool

    async def _mirror(self, count: int) -> None:
        """Keep what is about to be sent, so that it can be sent again."""
        at = self._assembly.cut
        spool = await self._open_spool()
        await spool.write(at, self._assembly.peek(at, count) or b"")

    async def _go_on_in_spool(self, reason: RewriteNeeded) -> None:
        """Throw away what was sent: from now on everything goes to the spool, and is sent at CLOSE."""
        if self._tools.options.rewrite != "spool":
            raise Unsupported(f"cannot write there: {reason}")
        await self._pump.stop()
        self._pump = Pump(self._tools.backend, self.place, self._session, self._tools.budget)
        spool = await self._open_spool()
        for offset, data in self._assembly.islands():
            await spool.write(offset, data)
        self._tools.budget.give(self._assembly.held)
        self._assembly.restart()
        self._tools.budget.end_turn(self)
        self._spooled = True

    async def _write_spooled(self, offset: int, data: bytes | memoryview) -> None:
        spool = await self._open_spool()
        await spool.write(offset, data)
        self._assembly.length = max(self._assembly.length, offset + len(data))
        self.written += len(data)

    async def _replay(self) -> None:
        """Send the spool from the start, as if the client had written it in order."""
        spool, length = await self._open_spool(), self._assembly.length
        await self._need_base()
        for start, stop in spool.extents:
            self._assembly.length = start
            await self._send_all_but_tail()
            for at in range(start, stop, 1 << 20):
                data = await spool.read(at, min(at + (1 << 20), stop))
                await self._take_room(len(data))
                self._place_bytes(at, data)
                await self._send_full_chunks()
        self._assembly.length = length

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _failing_for_good(self) -> Iterator[None]:
        """A failed call fails the file: what the client believes to be written would not be whole."""
        if self._failure is not None:
            raise self._failure
        try:
            yield
        except Exception as error:
            self._failure = error
            raise

    async def _let_go(self) -> None:
        budget = self._tools.budget
        budget.give(self._assembly.held)
        self._assembly.restart()
        budget.end_turn(self)
        if self._spool is not None:
            self._spool.close()
            self._spool = None
        if not self._pump.finished:
            await self._pump.stop()
