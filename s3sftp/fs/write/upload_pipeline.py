"""Moves an upload's bytes from WRITEs to the storage: assembly, byte budget and chunk sender.

It also fills gaps: with bytes of the base, kept inside the storage where possible, or with zeros.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from s3sftp.backends import CompleteBackend, FileInfo, Finish, Place, Session, Upload, WriteIntent
from s3sftp.backends.kept_uploads import KeptFile
from s3sftp.backends.spool import SpoolQuota
from s3sftp.errors import AlreadyExists, Changed, InvalidRequest, StorageError, Unsupported
from s3sftp.fs.budget import ByteBudget
from s3sftp.fs.options import FileOptions
from s3sftp.fs.write.assembly import Assembly, RewriteNeeded
from s3sftp.fs.write.base_file import BaseFile
from s3sftp.fs.write.budget_share import SMALL_BYTES, BudgetShare
from s3sftp.fs.write.chunk_sender import ChunkSender
from s3sftp.fs.write.kept_place import KeptPlace
from s3sftp.runtime.buffer_pool import BufferPool

_KEEP_SECONDS = 20.0
"""How long an upload without CLOSE waits for the chunks that are under way."""
BeforeFinish = Callable[[str | None, int], Awaitable[None]]
"""Gets the mark that the stored file will carry (`Upload.mark`), and its size in bytes."""


@dataclass(frozen=True, slots=True)
class WriteMode:
    """How OPEN's flags open a file for writing."""

    exclusive: bool = False
    truncate: bool = False
    append: bool = False
    create: bool = True


@dataclass(frozen=True, slots=True)
class WriterResources:
    """The resources that all writers of the process share."""

    backend: CompleteBackend
    options: FileOptions
    budget: ByteBudget
    spool_quota: SpoolQuota
    buffer_pool: BufferPool = field(default_factory=BufferPool)


class UploadPipeline:
    """One upload's assembly, share of the byte budget and chunk sender."""

    def __init__(
        self,
        resources: WriterResources,
        place: Place,
        mode: WriteMode,
        session: Session,
        old: FileInfo | None,
        kept: KeptPlace | None = None,
    ) -> None:
        """`kept`: the user's kept upload to the place; None if uploads are not kept."""
        self.old = BaseFile(resources.backend, place, session, old)
        self.assembly = Assembly(
            resources.options.reorder_bytes,
            base_known=mode.truncate or mode.exclusive,
            spare=partial(resources.buffer_pool.lend, self),
            small_bytes=SMALL_BYTES,
        )
        self._share = BudgetShare(resources.budget, self, self.assembly)
        self.mtime: float | None = None
        self.mode: int | None = None
        self.before_send: Callable[[int, bytes], Awaitable[None]] | None = None
        """Called with the offset and the bytes of each chunk before it is sent."""
        self.when_taken: Callable[[], Awaitable[Place | None]] | None = None
        """Called if an exclusive write finds its name taken. Returns another place, or None to fail."""
        self.before_finish: BeforeFinish | None = None
        """Called when everything but the tail is stored, and the next request makes the file visible."""
        self.before_going_on: Callable[[], Awaitable[None]] | None = None
        """Called when the first WRITE is not at the start, and nothing is stored. Raises Changed: if the
        client goes on with what another session is sending."""
        self._resources = resources
        self._place = place
        self._mode = mode
        self._session = session
        self._kept = kept
        self._may_continue = kept is not None and kept.continues
        """Whether a kept upload may be continued: the first WRITE decides."""
        self.found: KeptFile | None = None
        """The kept upload, as long as the client has neither continued nor replaced it."""
        self._has_asked = False
        self.continued_at: int | None = None
        """The bytes that were stored when the upload was continued; None if it was not."""
        self._zeros = 0
        self._given_up: Exception | None = None
        self._calls = 0
        """The number of calls under way that use the bytes in memory."""
        self._sender = self._new_sender()
        if old is not None and not mode.truncate:
            self.assembly.learn_base(old.size)

    # ── in ──────────────────────────────────────────────────────────────────────────────────────────

    def try_put(self, offset: int, data: memoryview) -> bool:
        """Accept bytes that continue the last ones, and send a full chunk, if that needs no waiting. Returns
        False, with nothing done, if not."""
        assembly, sender = self.assembly, self._sender
        front, chunk = assembly.front + len(data), sender.chunk_bytes
        if (
            sender.failure is not None
            or offset != assembly.cut + assembly.front
            or (front > chunk and not self._may_send_at(front))
            or not self._share.try_acquire_in_order(len(data), chunk)
        ):
            return False
        self._assemble(offset, data)
        if front > chunk:
            sender.send_now(self._take_chunk(chunk))
        return True

    async def put(self, offset: int, data: bytes | memoryview) -> None:
        """Accept bytes and send full chunks; returns when there is room for more.

        Those that replace bytes in memory do so first: that takes no memory, and none of them may be sent
        before.

        Raises RewriteNeeded: if they are before the cut, with nothing accepted, or too far after it; Busy: if
        the byte budget has no room; and the failure of an earlier chunk.
        """
        assembly, data = self.assembly, memoryview(data)
        with self.calling():
            for start, stop in assembly.rewrite(offset, data):
                piece = data[start - offset : stop - offset]
                if start == assembly.cut + assembly.front:
                    await self._put_in_order(piece)
                else:
                    await self._put_behind_gap(start, piece)
            await self.send_full_chunks()

    async def _put_in_order(self, data: memoryview) -> None:
        """Accept bytes in order, none of which has arrived before. Sends a full chunk before it requests
        memory for the next one, so that the full chunk never waits for that memory."""
        while data:
            await self.send_full_chunks(more_follows=True)
            chunk = self._sender.chunk_bytes
            piece = data[: chunk - self.assembly.front]
            await self._share.acquire_in_order(len(piece), chunk)
            self._assemble(self.assembly.cut + self.assembly.front, piece)
            data = data[len(piece) :]

    async def _put_behind_gap(self, offset: int, data: memoryview) -> None:
        """Accept bytes behind a gap, none of which has arrived before."""
        await self.send_full_chunks(more_follows=True)  # as above
        await self._share.acquire_elsewhere(offset, len(data), self._sender.chunk_bytes)
        try:
            await self._assemble_or_keep(offset, data)
        except BaseException:  # the bytes were not placed
            self._share.release(len(data))
            raise

    def resize(self, size: int) -> None:
        """Resize the assembly and give truncated bytes back. Raises RewriteNeeded: as `Assembly.resize`."""
        held = self.assembly.held
        self.assembly.resize(size)
        self._share.release(held - self.assembly.held)

    async def find_base(self) -> bool:
        """Ask the storage for the base unless it is known. Returns whether the storage was asked."""
        if self.assembly.base_known:
            return False
        found = await self.old.find()
        self.assembly.learn_base(found.size if found else 0)
        return True

    async def find_kept(self) -> KeptFile | None:
        """The kept upload that the client may continue, asked for once, to tell the client of it; None if a
        file is stored there."""
        if self._may_continue and not self._has_asked and not self.assembly.touched:
            await self.find_base()
            if self._kept is not None and self.old.info is None:
                self.found = await self._kept.find()
            self._has_asked = True
        return self.found

    async def waits_for_more(self) -> bool:
        """Whether the file, to which nothing was written, is an unfinished upload: one that is kept, or was
        when it was opened without CREAT."""
        if await self.find_kept() is not None:
            return True
        return self.old.info is None and self._kept is not None and self._kept.stands_in

    async def go_on(self, offset: int, *, appends: bool) -> None:
        """Before a WRITE that is not at the start or `appends`: find out what it goes on with.

        Raises Changed: if another session of the user is sending that; and as `decide`.
        """
        if not self.assembly.touched:
            if self._kept is not None and self._kept.stands_in and not self.assembly.base_known:
                self.assembly.learn_base(0)  # OPEN has asked, and the commit replaces nothing that came since
            await self.find_base()
            if self.old.info is None and self.before_going_on is not None:
                await self.before_going_on()
            await self.decide(offset, appends=appends)
        await self.find_base()

    async def decide(self, offset: int | None, *, appends: bool = False) -> None:
        """Continue the kept upload if the first WRITE goes on with it: at `offset`, at its end if that is
        None. A WRITE at the start of the file begins anew, unless it `appends`.

        Who appends continues where the client believes to be, as its offset or the last STAT says: its bytes
        belong there, and not at the end of what may have been kept since.

        Raises Unsupported: if the WRITE is within a chunk that is stored; Changed: if the storage has less
        than the client was told, another session has continued it, or a file has come to the name.
        """
        kept = self._kept
        if self.assembly.touched or not self._may_continue or kept is None:
            return
        self._may_continue = False
        await self.find_base()
        told = kept.told
        if self.old.info is not None:
            if kept.was_shown:
                kept.forget()
                raise Changed("a file has come to this name since STAT has shown an unfinished upload")
            return
        looked = self._has_asked or kept.is_absent
        if (offset == 0 and not appends) or (looked and told is None):
            return
        if appends:
            offset = offset or told
        upload = await self._sender.begin(WriteIntent(exclusive=True, mtime=self.mtime, mode=self.mode))
        kept.watch(upload)
        start = await kept.adopt(upload, offset, (offset if appends else told) or 0)
        if start is None:
            if told is not None:
                raise Changed("the unfinished upload is gone: send the file again")
            await self._sender.stop()
            self._sender = self._new_sender()
            return
        self.found, self.continued_at = None, start.stored
        self.before_send = None
        self.assembly.continue_at(start.stored)
        stop = offset - start.stored if appends and offset is not None else None
        await self._put_in_order(memoryview(start.tail)[:stop])

    def refusal(self) -> str:
        """Why a WRITE to bytes that were stored before the line was lost is refused."""
        return (
            f"the first {self.continued_at} bytes are stored since before the connection was lost: go on at"
            " the size that STAT shows, or truncate the file and send it again"
        )

    # ── out ─────────────────────────────────────────────────────────────────────────────────────────

    async def begin(self) -> Upload:
        """Begin the backend's upload at the first call, and return it. Costs no request."""
        base = None if self._mode.truncate else self.old.info
        upload = await self._sender.begin(WriteIntent(self._mode.exclusive, base, self.mtime, self.mode))
        if self._kept is not None:
            self._kept.watch(upload)
        return upload

    async def send_full_chunks(self, *, more_follows: bool = False) -> None:
        """Send all full chunks at the front, except a last one that may be the file's tail. `more_follows`:
        the last one is not the tail, so send it too."""
        while self.assembly.appends_to_base():
            await self._fill_from_old(*self.assembly.gap())
        if self.assembly.front + more_follows <= self._sender.chunk_bytes:
            return
        await self.find_base()
        upload = await self.begin()
        while self.assembly.front + more_follows > (count := upload.chunk_bytes):
            await self._sender.wait_for_slot()
            if self.before_send is not None:
                at = self.assembly.cut
                await self.before_send(at, self.assembly.peek(at, count) or b"")
            if count == upload.chunk_bytes:  # else the size grew when an earlier chunk was stored
                await self._sender.send(self._take_chunk(count))

    async def send_all_but_tail(self) -> None:
        """Send everything except the tail. Fills gaps with bytes of the base or with zeros.

        Raises InvalidRequest: if bytes were never written and `gaps` is `refuse`; Unsupported: if the upload
        needs more than `max_zero_fill_bytes` zeros.
        """
        while True:
            start, _ = self.assembly.gap()
            await self.send_full_chunks(more_follows=start < self.assembly.length)
            start, stop = self.assembly.gap()
            if start >= self.assembly.length:
                return
            if start < self.assembly.base_stop:
                await self._fill_from_old(start, min(stop, self.assembly.base_stop))
            else:
                await self._fill_with_zeros(start, stop)

    async def commit(self) -> FileInfo:
        """Send the rest and finish the write. Returns the stored file."""
        with self.calling():
            await self.send_all_but_tail()
            await self.begin()
            tail = self.assembly.pop_chunk(self.assembly.front)
            self._share.send(len(tail))
            self._share.end()  # no more bytes follow, so others may use the reservation
            try:
                finish = Finish(self.assembly.length, self.mtime, self.old.kept, self.mode)
                info = await self._finish(tail, finish)
                await self._drop_former()
                return info
            finally:
                self._share.sent(len(tail))
                self._resources.buffer_pool.give_back(tail)

    async def _drop_former(self) -> None:
        """Discard what was kept, if the client has begun anew without truncation. A larger upload has taken
        its place with its first part."""
        kept = self._kept
        if kept is not None and kept.continues and self.continued_at is None and not self.has_sent:
            with suppress(StorageError):  # the stored file hides it, and its time will come
                await kept.discard()

    async def keep(self) -> int | None:
        """End the upload and keep what the client has written without a gap, except the last byte, so that
        no client takes the file for whole. Returns the size kept; None if nothing is, so that the upload is
        to be aborted.

        Raises the failure of a chunk; StorageError: if the storage fails.
        """
        assembly = self.assembly
        kept, has_base = self._kept, self.old.info is not None or self.old.kept
        if kept is None or has_base or not (assembly.cut or assembly.front):
            return None
        with self.calling():
            with suppress(TimeoutError):  # then what is stored by now is kept, up to the first gap
                async with asyncio.timeout(_KEEP_SECONDS):
                    await self._sender.drain()
            upload = await self.begin()
            tail = assembly.peek(assembly.cut, max(0, assembly.front - 1)) or b""
            size = await kept.keep(upload, tail)
            if size is not None:
                self._sender.leave()
            return size

    async def _finish(self, tail: memoryview, finish: Finish) -> FileInfo:
        """Finish the write, if need be under another name. Sent chunks are bound to the first one."""
        while True:
            try:
                if self.before_finish is not None:
                    await self._sender.drain()
                    await self.before_finish((await self.begin()).mark, finish.size)
                return await self._sender.finish(tail, finish)
            except AlreadyExists:
                movable = self.when_taken is not None and not self._sender.has_sent
                place = await self.when_taken() if self.when_taken is not None and movable else None
                if place is None:
                    raise
            await self._sender.stop()
            self._place, self._kept = place, None
            self._sender = self._new_sender()
            await self.begin()

    @property
    def stored(self) -> FileInfo | None:
        """See `ChunkSender.stored`."""
        return self._sender.stored

    @property
    def checksum(self) -> str | None:
        """See `Upload.checksum`."""
        return self._sender.checksum

    @property
    def version_id(self) -> str | None:
        """See `Upload.version_id`."""
        return self._sender.version_id

    @property
    def has_sent(self) -> bool:
        """See `ChunkSender.has_sent`."""
        return self._sender.has_sent

    async def drain(self) -> None:
        """Wait until all chunks that were sent are stored. Raises the first failure: if a chunk failed."""
        await self._sender.drain()

    def raise_failure(self) -> None:
        self._sender.raise_failure()

    def send_if_full(self) -> None:
        """See `BudgetHolder.send_if_full`. A chunk that may be the whole file becomes its first part, which
        costs two more requests but frees memory."""
        front = self.assembly.front
        if not self._calls and front == self._sender.chunk_bytes and self._may_send_at(front):
            self._sender.send_now(self._take_chunk(front))

    def give_up(self, error: Exception) -> bool:
        """See `BudgetHolder.give_up`."""
        if self._calls:
            return False
        self._given_up = error
        self._sender.fail(error)
        self._give_all_back()
        return True

    async def restart(self) -> None:
        """Drop all bytes that were sent or are in memory. The caller will send all of them again."""
        self._give_all_back()
        await self._sender.stop()
        self._sender = self._new_sender()

    async def move(self, place: Place) -> bool:
        """Move the upload to another place, to which its base has been moved. Returns False if chunks have
        been sent, which cannot move.

        Raises Changed: if the base is not there; and the failure of an earlier call.
        """
        self.raise_failure()
        if self._sender.has_sent:
            return False
        await self._sender.stop()
        known = self.assembly.base_known and not self._mode.truncate and not self._mode.exclusive
        unknown = BaseFile(self._resources.backend, place, self._session, None)
        self.old = await self.old.moved(place) if known else unknown
        self._place, self._kept = place, None
        self._sender = self._new_sender()
        return True

    def take_over(self, mode: WriteMode) -> bool:
        """Continue with another mode and no base. Returns False, with nothing changed, if a base is known."""
        if self.old.info is not None:
            return False
        self._mode = mode
        self.assembly.learn_base(0)
        return True

    async def end(self) -> None:
        """Release everything, and abort the upload unless it is finished."""
        self._give_all_back()
        try:
            if not self._sender.finished:
                await self._sender.stop()
        finally:
            self._resources.buffer_pool.leave(self)

    # ── within ──────────────────────────────────────────────────────────────────────────────────────

    def _new_sender(self) -> ChunkSender:
        """A new chunk sender, which fails at once if the upload has been given up."""
        resources = self._resources
        sender = ChunkSender(
            resources.backend, self._place, self._session, resources.budget, resources.buffer_pool
        )
        if self._given_up is not None:
            sender.fail(self._given_up)
        return sender

    def _may_send_at(self, front: int) -> bool:
        """Whether exactly one chunk out of `front` bytes can be sent without waiting."""
        return (
            self._sender.can_send
            and front <= 2 * self._sender.chunk_bytes
            and self.assembly.base_known
            and self.before_send is None
        )

    def _take_chunk(self, count: int) -> memoryview:
        """Take the next chunk out of the assembly, and account for it as being stored."""
        chunk = self.assembly.pop_chunk(count)
        self._share.send(count)
        self._resources.buffer_pool.full(self)
        return chunk

    def _give_all_back(self) -> None:
        self.assembly.restart()
        self._share.end()
        self._resources.buffer_pool.full(self)

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Hold while a call needs the bytes in memory, so that `give_up` refuses."""
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1

    def _assemble(self, offset: int, data: bytes | memoryview) -> None:
        """Put bytes, which have been taken from the budget, into the assembly."""
        held = self.assembly.held
        self.assembly.write(offset, data)
        rewritten = len(data) - (self.assembly.held - held)
        if rewritten:
            self._share.release(rewritten)

    async def _assemble_or_keep(self, offset: int, data: bytes | memoryview) -> None:
        """Assemble bytes. If too many wait behind a gap with bytes of the base, fill that gap first."""
        try:
            self._assemble(offset, data)
        except RewriteNeeded:
            start, stop = self.assembly.gap()
            if offset < self.assembly.cut or stop > self.assembly.base_stop:
                raise
            while start < stop:
                await self._fill_from_old(start, stop)
                await self.send_full_chunks(more_follows=True)
                start = self.assembly.gap()[0]
            self._assemble(offset, data)

    async def _fill_from_old(self, start: int, stop: int) -> None:
        """Fill a gap, at least in part, with bytes of the base: keeps them inside the storage if the gap
        starts at the cut and is large enough, else reads them."""
        upload = await self.begin()
        self.old.kept = True
        kept = (stop - start) // upload.keep_unit_bytes * upload.keep_unit_bytes
        if start == self.assembly.cut and kept >= max(1, upload.min_chunk_bytes):
            await self._sender.keep_range(start, start + kept)
            self.assembly.skip(start + kept)
            return
        stop = min(stop, self.assembly.cut + upload.chunk_bytes)
        await self._share.acquire_in_order(stop - start, self._sender.chunk_bytes)  # before reading
        try:
            data = await self.old.read(start, stop)
        except BaseException:
            self._share.release(stop - start)
            raise
        self.assembly.fill(start, data)

    async def _fill_with_zeros(self, start: int, stop: int) -> None:
        options = self._resources.options
        meant = self.assembly.zeros_at(start)
        if meant is not None:
            stop = min(stop, meant)
        elif options.gaps == "refuse":
            raise InvalidRequest(f"bytes {start} to {stop} were never written; the file is not stored")
        if self._zeros + stop - start > options.max_zero_fill_bytes:  # checked before the first are sent
            raise Unsupported(f"more than {options.max_zero_fill_bytes} bytes were never written")
        count = min(stop - start, max(1, self._sender.chunk_bytes - self.assembly.front))
        self._zeros += count
        await self._share.acquire_in_order(count, self._sender.chunk_bytes)
        self.assembly.fill(start, bytes(count))
