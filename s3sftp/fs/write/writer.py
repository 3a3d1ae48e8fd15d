"""Writes an open file: pipelined WRITEs become chunks, and only CLOSE commits the file.

    WRITE ─► UploadPipeline: Assembly (in memory, in order) ─► ChunkSender (several at once) ─► storage
    CLOSE ─► fill gaps from the base ─► drain ─► finish_write ─► only now: OK
    any other end ─► abort_write

With `rewrite = "spool"`, sent chunks are also kept in a spool file. A write to a position that has been sent
drops the upload and continues in the spool, which CLOSE sends again from the start.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from s3sftp.backends import CompleteBackend, FileInfo, Place, Session
from s3sftp.backends.spool import SpoolFile
from s3sftp.errors import InvalidRequest, StorageError, Unsupported
from s3sftp.fs.write.assembly import RewriteNeeded
from s3sftp.fs.write.base_file import read_bytes
from s3sftp.fs.write.kept_place import KeptPlace
from s3sftp.fs.write.upload_pipeline import BeforeFinish, UploadPipeline, WriteMode, WriterResources
from s3sftp.telemetry import get_logger

_log = get_logger(__name__)

MAX_SIZE = (1 << 63) - 1
"""The maximum offset and size of a file, as in POSIX."""
_PIECE_BYTES = 1 << 20
_NOTHING: tuple[float | None, int | None] = (None, None)


async def set_stored_attributes(
    backend: CompleteBackend, place: Place, mtime: float | None, mode: int | None, session: Session
) -> bool:
    """Set the given attributes of a stored file, in one step. Returns whether the storage can keep them.

    Raises NotFound: if there is no file.
    """
    if mode is not None:
        return await backend.set_attributes(place, mtime, mode, session)
    return mtime is None or await backend.set_mtime(place, mtime, session)


@dataclass(frozen=True, slots=True)
class _Clone:
    """The file of which the whole new file is a copy, made inside the storage."""

    place: Place
    info: FileInfo


class Writer:
    """Assembles one file and commits it. The caller makes one call at a time, in the client's order."""

    def __init__(
        self,
        resources: WriterResources,
        place: Place,
        mode: WriteMode,
        session: Session,
        base: FileInfo | None,
        kept: KeptPlace | None = None,
    ) -> None:
        """`base` is the stored file if it is known; otherwise the storage is asked only if it matters.
        `kept`: see `UploadPipeline`."""
        self.place = place
        """Where the file will be committed."""
        self.opened_at = time.time()
        self.written = 0
        self._stored: FileInfo | None = None
        self._resources = resources
        self.mode = mode
        self._session = session
        self._pipeline = UploadPipeline(resources, place, mode, session, base, kept)
        self._assembly = self._pipeline.assembly
        self._clone: _Clone | None = None
        self._given = _NOTHING
        """The modification time and permissions that were set since the OPEN."""
        self._spool: SpoolFile | None = None
        self._spooled = False
        self._failure: Exception | None = None
        self._prepare: BeforeFinish | None = None
        if resources.options.rewrite == "spool":
            self._pipeline.before_send = self._mirror

    def fail(self, error: Exception) -> None:
        """Fail the upload, because a WRITE of the client was refused elsewhere and its bytes are missing."""
        self._failure = self._failure or error

    async def begin(self) -> None:
        """Begin the upload, so that the backend can refuse it now and not only at the first chunk.

        Costs no request if beginning is free for the backend: then the base is looked up only if it matters.
        """
        if not self._resources.backend.begin_is_free:
            await self._pipeline.find_base()
        if self._assembly.base_known:
            await self._pipeline.begin()

    @property
    def size(self) -> int:
        """The size of the file so far, in bytes. Before the first WRITE, a kept upload counts."""
        if self._clone is not None:
            return self._clone.info.size
        found = None if self._assembly.touched else self._pipeline.found
        return self._assembly.length if found is None else found.size

    def when_taken(self, ask: Callable[[], Awaitable[Place | None]]) -> None:
        """See `UploadPipeline.when_taken`. The writer continues at the place."""

        async def moved() -> Place | None:
            place = await ask()
            self.place = self.place if place is None else place
            return place

        self._pipeline.when_taken = moved

    def before_finish(self, prepare: BeforeFinish) -> None:
        """See `UploadPipeline.before_finish`. Called for a copy inside the storage too, which has no mark.

        What it raises fails the commit, with nothing stored.
        """
        self._prepare = self._pipeline.before_finish = prepare

    def before_going_on(self, ask: Callable[[], Awaitable[None]]) -> None:
        """See `UploadPipeline.before_going_on`."""
        self._pipeline.before_going_on = ask

    def begin_with(self, mtime: float | None, mode: int | None) -> None:
        """Set the attributes that OPEN gives to a new file. They apply to an upload, not to a file that is
        left unchanged."""
        self._pipeline.mtime, self._pipeline.mode = mtime, mode

    def set_attributes(self, mtime: float | None, mode: int | None) -> None:
        """Set the modification time and permissions that the file will have. None leaves one unchanged."""
        given_mtime, given_mode = self._given
        self._given = (given_mtime if mtime is None else mtime, given_mode if mode is None else mode)
        if mtime is not None:
            self._pipeline.mtime = mtime
        if mode is not None:
            self._pipeline.mode = mode

    @property
    def stored(self) -> FileInfo | None:
        """The committed file, as soon as the storage has confirmed it; None before that, and for a file that
        was left unchanged."""
        return self._stored or self._pipeline.stored

    @property
    def checksum(self) -> str | None:
        """See `Upload.checksum`."""
        return self._pipeline.checksum

    @property
    def version_id(self) -> str | None:
        """See `Upload.version_id`."""
        return self._pipeline.version_id

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was written, truncated or set, so that CLOSE does not change an existing file."""
        assembly, mode = self._assembly, self.mode
        given = self._given != _NOTHING
        changed = self.written or assembly.touched or self._clone or given
        return not (mode.truncate or mode.exclusive or changed)

    @property
    def has_failed(self) -> bool:
        """Whether a call has failed, so that the file cannot be committed any more."""
        return self._failure is not None

    @property
    def is_bound(self) -> bool:
        """Whether the upload contains bytes of the base that the storage copies: it can then be committed
        only under that name, and only while the base is there."""
        return self._pipeline.has_sent and self._pipeline.old.kept

    @property
    def size_if_known(self) -> int | None:
        """The size of the file so far, in bytes; None if it depends on a base that is not known."""
        return self.size if self._knows_size else None

    @property
    def _knows_size(self) -> bool:
        return self._clone is not None or self._assembly.base_known or self._assembly.resized

    def try_write(self, offset: int, data: memoryview) -> bool:
        """Accept bytes at an offset if that needs no waiting. Returns False, with nothing done, if `write`
        must be called."""
        if self._failure is not None or self._clone is not None or self._spooled or self.mode.append:
            return False
        with self._failing_for_good():
            taken = self._pipeline.try_put(offset, data)
        self.written += len(data) if taken else 0
        return taken

    async def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write bytes at an offset; returns when there is room for more.

        Raises Unsupported: if the position was already sent or is too far ahead; InvalidRequest: if it is
        beyond `MAX_SIZE`; Busy: if the byte budget has no room; and the failure of an earlier chunk.
        """
        with self._failing_for_good():
            await self._before_write(offset)
            if self.mode.append:
                offset = self.size
            if offset + len(data) > MAX_SIZE:
                raise InvalidRequest("no file is that large")
            try:
                if not self._spooled:
                    await self._pipeline.put(offset, data)
            except RewriteNeeded as reason:
                await self._continue_in_spool(reason)
            if self._spooled:
                await self._write_spooled(offset, data)
            self.written += len(data)

    async def read(self, offset: int, length: int) -> bytes:
        """Read bytes back from memory, the spool or the base, fewer than `length` only at the end of the
        file.

        Raises Unsupported: if the bytes were already sent to the storage.
        """
        with self._failing_for_good():
            await self._unclone()
        await self._pipeline.find_base()
        stop = min(offset + length, self.size)
        pieces: list[bytes] = []
        while offset < stop:
            pieces.append(await self._read_piece(offset, stop))
            offset += len(pieces[-1])
        return b"".join(pieces)

    async def stat(self) -> FileInfo:
        """The file as a CLOSE would store it now."""
        if not self._assembly.resized:
            await self._pipeline.find_base()
            await self._pipeline.find_kept()
        return self._as_it_is(self.size)

    async def stat_snapshot(self, size: int | None) -> FileInfo:
        """Like `stat`, while another call runs, whose changes it does not show. `size`: if it is known."""
        if size is None:
            size = self.size
            if not self._knows_size:
                size = max(size, await self._pipeline.old.size_now())
        return self._as_it_is(size)

    def _as_it_is(self, size: int) -> FileInfo:
        mtime, mode = self._pipeline.mtime, self._pipeline.mode
        if self.is_untouched and (base := self._pipeline.old.info) is not None:
            mode = base.mode
        return FileInfo.file(size, self.opened_at if mtime is None else mtime, mode=mode)

    async def resize(self, size: int) -> None:
        """Truncate or enlarge the file, for FSETSTAT with a size.

        Raises Unsupported: if `size` is less than what was already sent to the storage.
        """
        with self._failing_for_good():
            self._pipeline.raise_failure()
            if self._clone is not None and size == self.size:
                return
            await self._unclone()
            await self._pipeline.decide(0 if size == 0 else None)
            try:
                self._pipeline.resize(size)
            except RewriteNeeded as reason:
                await self._continue_in_spool(reason)
                self._pipeline.resize(size)
            if self._spool is not None:
                self._spool.cut_off(size)

    def copy_whole(self, place: Place, info: FileInfo) -> bool:
        """Become a copy of a whole file, made by the storage at CLOSE. Returns False if it is too late."""
        if not self.mode.truncate or self.mode.exclusive or self._assembly.touched or self._clone:
            return False
        self._clone = _Clone(place, info)
        return True

    async def sync(self) -> None:
        """Wait until every chunk that was sent is stored. Commits nothing. Raises the failure of a chunk."""
        with self._failing_for_good():
            await self._pipeline.drain()

    async def commit(self) -> FileInfo:
        """Commit the file and return it as stored. After an error nothing has become visible."""
        try:
            if self._failure is not None:
                raise self._failure
            with self._pipeline.calling():
                self._pipeline.raise_failure()
                return await self._commit()
        finally:
            await self._release()

    def take_over(self) -> None:
        """Replace a stored file whose name the upload has got by a rename, and keep none of its bytes."""
        mode = replace(self.mode, truncate=True, exclusive=False)
        if self._pipeline.take_over(mode):
            self.mode = mode

    async def move(self, place: Place) -> bool:
        """Move the upload to another place, to which its base has been moved. Returns False if chunks have
        been sent, which binds the upload to its place. Raises Changed: if the base is not there."""
        with self._pipeline.calling():
            if not await self._pipeline.move(place):
                return False
        self.place = place
        return True

    async def keep(self) -> int | None:
        """End the upload without a commit, and keep what was written for its user, if uploads are kept.
        Otherwise abort it. Returns the size kept; None if it is aborted."""
        failed, self._failure = self._failure, self._failure or InvalidRequest("the upload was aborted")
        size = None
        if failed is None and self._clone is None and not self._spooled:
            try:
                size = await self._pipeline.keep()
            except Exception as error:  # the abort that follows is the safe end
                _log.warning("upload.keep_failed", error=f"{type(error).__name__}: {error}")
        await self._release()
        return size

    async def abort(self) -> None:
        """Abort the upload and release everything. Later calls fail."""
        self._failure = self._failure or InvalidRequest("the upload was aborted")
        await self._release()

    # ── commit ──────────────────────────────────────────────────────────────────────────────────────

    async def _commit(self) -> FileInfo:
        if self._clone is not None:
            return await self._commit_clone(self._clone)
        if self._spooled:
            await self._replay()
        asked = self._may_keep_base and await self._pipeline.find_base()
        base = self._pipeline.old.info
        if not self._assembly.touched and await self._pipeline.waits_for_more():
            raise InvalidRequest(
                "nothing was written, and an unfinished upload has this name: go on at the size that STAT"
                " shows, or remove it"
            )
        if base is not None and not self.mode.truncate and self._is_unchanged(base):
            if not asked:
                await self._require(base)
            return await self._with_attributes(base, *self._given)
        is_new = self._pipeline.continued_at is not None  # the storage itself refuses to replace a file then
        if base is None and self._is_decided_by_absence and not asked and not is_new:
            await self._require(None)
        self._stored = await self._pipeline.commit()
        return self._stored

    async def _require(self, base: FileInfo | None) -> None:
        """Check that the stored file is still `base`, which may have been looked up at the OPEN.

        Raises Changed: if it is another version, or if `base` is None and a file is there.
        """
        await self._resources.backend.require_version(self.place, base, self._session)

    async def _commit_clone(self, clone: _Clone) -> FileInfo:
        backend = self._resources.backend
        version = clone.info.version
        if self._prepare is not None:
            await self._prepare(None, clone.info.size)
        self._stored = await backend.copy(clone.place, self.place, self._session, version=version)
        return await self._with_attributes(self._stored, self._pipeline.mtime, self._pipeline.mode)

    async def _with_attributes(self, info: FileInfo, mtime: float | None, mode: int | None) -> FileInfo:
        """Set the time and permissions of the stored file. Logs a failure, which does not fail the commit."""
        try:
            await set_stored_attributes(self._resources.backend, self.place, mtime, mode, self._session)
        except StorageError as error:
            _log.warning("upload.mtime_not_set", error=str(error), detail=error.detail)
        return info

    @property
    def _may_keep_base(self) -> bool:
        """Whether the file may keep bytes of a base. If not, the storage need not be asked for it."""
        start, _ = self._assembly.gap()
        is_complete = start >= self._assembly.length
        return not (is_complete and self._assembly.resized)

    @property
    def _is_decided_by_absence(self) -> bool:
        """Whether the content of the file depends on there being no base."""
        return not self.mode.truncate and not self.mode.exclusive and self._may_keep_base

    def _is_unchanged(self, base: FileInfo) -> bool:
        assembly = self._assembly
        return not assembly.cut and not assembly.held and assembly.length == assembly.base_stop == base.size

    # ── before a write, and reading back ────────────────────────────────────────────────────────────

    async def _before_write(self, offset: int) -> None:
        self._pipeline.raise_failure()
        await self._unclone()
        starts_in_the_middle = offset > 0 and not self._assembly.touched
        if self.mode.append or starts_in_the_middle:
            await self._pipeline.go_on(offset, appends=self.mode.append)

    async def _unclone(self) -> None:
        """Turn a copy of a whole file into an ordinary upload: read its bytes and write them."""
        if self._clone is None:
            return
        clone, self._clone = self._clone, None
        for start in range(0, clone.info.size, _PIECE_BYTES):
            stop = min(start + _PIECE_BYTES, clone.info.size)
            place, info, session = clone.place, clone.info, self._session
            await self.write(
                start, await read_bytes(self._resources.backend, place, info, start, stop, session)
            )

    async def _read_piece(self, offset: int, stop: int) -> bytes:
        """Some bytes from `offset` on, at least one and at most up to `stop`."""
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
            return await self._pipeline.old.read(offset, min(stop, self._assembly.base_stop))
        return bytes(min(stop - offset, _PIECE_BYTES))

    # ── the spool ───────────────────────────────────────────────────────────────────────────────────

    async def _open_spool(self) -> SpoolFile:
        if self._spool is None:
            self._spool = await SpoolFile.open(self._resources.spool_quota)
        return self._spool

    async def _mirror(self, offset: int, data: bytes) -> None:
        """Write a chunk to the spool before it is sent, so that it can be sent again."""
        await (await self._open_spool()).write(offset, data)

    async def _continue_in_spool(self, reason: RewriteNeeded) -> None:
        """Drop what was sent. From now on everything goes to the spool, and CLOSE sends it.

        Raises Unsupported: if `rewrite` is not `spool`.
        """
        if self._pipeline.continued_at is not None:
            raise Unsupported(self._pipeline.refusal())
        if self._resources.options.rewrite != "spool":
            raise Unsupported(f"cannot write there: {reason}")
        spool = await self._open_spool()
        for offset, data in self._assembly.islands():
            await spool.write(offset, data)
        await self._pipeline.restart()
        self._pipeline.before_send = None
        self._spooled = True

    async def _write_spooled(self, offset: int, data: bytes | memoryview) -> None:
        await (await self._open_spool()).write(offset, data)
        self._assembly.length = max(self._assembly.length, offset + len(data))

    async def _replay(self) -> None:
        """Send the spool from the start, as if the client had written its bytes in order."""
        spool = await self._open_spool()
        await self._pipeline.find_base()  # the file may be longer than what was written
        length = self._assembly.length
        for start, stop in spool.extents:
            self._assembly.length = start
            await self._pipeline.send_all_but_tail()
            for at in range(start, stop, _PIECE_BYTES):
                await self._pipeline.put(at, await spool.read(at, min(at + _PIECE_BYTES, stop)))
        self._assembly.length = length

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _failing_for_good(self) -> Iterator[None]:
        """Make a failed call fail all later ones, because the file would lack bytes from the client."""
        if self._failure is not None:
            raise self._failure
        try:
            yield
        except Exception as error:
            self._failure = error
            raise

    async def _release(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None
        await self._pipeline.end()
