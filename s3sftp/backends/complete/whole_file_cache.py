"""Caches whole files, to answer ranged requests of storages that only read whole files.

A copy belongs to one version of a file and to one session. All requests of a reader share it. It is dropped a
few seconds after the last of them, and at once when this process changes the file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from mmap import mmap
from typing import Protocol

from s3sftp.backends.complete.guard import BackendGuard
from s3sftp.backends.complete.spooled_buffer import BufferQuotas, SpooledBuffer
from s3sftp.backends.contract import Backend, Buffer, Place, Session
from s3sftp.errors import Changed

_KEEP_SECONDS = 5.0
_MOST_IDLE = 64
_PIECE_BYTES = 1 << 20

_Key = tuple[Place, str | None, int]


class _Content(Protocol):
    size: int

    async def read(self, start: int, stop: int) -> Buffer: ...

    def close(self) -> None: ...


class _Mapped:
    """A file that the backend has mapped into memory, so that no bytes of it are held here."""

    def __init__(self, view: memoryview) -> None:
        self.size = len(view)
        self._view = view

    async def read(self, start: int, stop: int) -> Buffer:
        return await asyncio.to_thread(bytes, self._view[start:stop])  # may have to read from disk

    def close(self) -> None:
        """Nothing to do: the backend's mapping ends with the last view of it."""


class _Copy:
    def __init__(self, place: Place, session: Session, loading: asyncio.Task[_Content]) -> None:
        self.place = place
        self.session = session  # referenced, so that no other object gets its id
        self.loading = loading
        self.users = 0
        self.forgetting: asyncio.TimerHandle | None = None

    @property
    def content(self) -> _Content | None:
        """The content; None while it is being read, and if that has failed."""
        if not self.loading.done() or self.loading.cancelled() or self.loading.exception():
            return None
        return self.loading.result()


class WholeFileCache:
    """The copies of one backend. Unused copies are dropped when the spool is full."""

    def __init__(
        self, theirs: BackendGuard, quotas: BufferQuotas, *, keep_seconds: float = _KEEP_SECONDS
    ) -> None:
        self._theirs = theirs
        self._quotas = quotas
        self._keep_seconds = keep_seconds
        self._copies: dict[_Key, _Copy] = {}
        """The copies that may be shared, the least recently used first."""
        self._ending: set[asyncio.Task[_Content]] = set()
        quotas.spool.reclaim = self.forget_idle

    async def pieces(
        self, place: Place, start: int, stop: int, version: str | None, session: Session
    ) -> AsyncGenerator[Buffer, None]:
        """As `RangedReads.read_file_range`.

        Raises NoSpace: if the file does not fit into the spool.
        """
        with self._copy_of(place, version, session) as copy:
            content = await asyncio.shield(copy.loading)
            if stop > content.size:
                raise Changed
            for at in range(start, stop, _PIECE_BYTES):
                yield await content.read(at, min(at + _PIECE_BYTES, stop))

    async def whole(self, place: Place, version: str | None, session: Session) -> Buffer:
        """Return the content of a file that must be at `version`.

        The version is checked before and after. The check before is needed because a read may return older
        content than a later `file_info` describes.

        Raises Changed: if the file is not at the version.
        """
        await self._insist(place, version, session)
        data = await self._theirs.read_file(place, session)
        await self._insist(place, version, session)
        return data

    def drop(self, *places: Place) -> None:
        """Something at these places, or below, has changed: later requests do not get their copies."""
        for key, copy in list(self._copies.items()):
            if any(copy.place.is_within(place) for place in places):
                del self._copies[key]
                self._end_if_unused(copy)

    def begin_anew(self, place: Place, session: Session) -> None:
        """The session opens a file without versions: the next request reads it again."""
        copy = self._copies.pop((place, None, id(session)), None)
        if copy is not None:
            self._end_if_unused(copy)

    def forget_idle(self) -> None:
        """Free all copies that are not in use."""
        for key, copy in list(self._copies.items()):
            if not copy.users:
                del self._copies[key]
                self._end_if_unused(copy)

    async def close(self) -> None:
        """Free all copies."""
        self.drop(Place())
        if self._ending:
            await asyncio.wait(self._ending)

    @contextmanager
    def _copy_of(self, place: Place, version: str | None, session: Session) -> Iterator[_Copy]:
        key = (place, version, id(session))
        copy = self._copies.pop(key, None)
        if copy is None:
            copy = _Copy(place, session, asyncio.create_task(self._load(place, version, session)))
        self._copies[key] = copy
        copy.users += 1
        if copy.forgetting is not None:
            copy.forgetting.cancel()
        try:
            yield copy
        finally:
            copy.users -= 1
            if not copy.users:
                self._leave(key, copy)

    def _leave(self, key: _Key, copy: _Copy) -> None:
        """The last user has left: keep the copy for the next request, if it may be shared."""
        if self._copies.get(key) is copy and copy.content is None:
            del self._copies[key]
        if self._copies.get(key) is not copy:
            self._end_if_unused(copy)
            return
        self._copies[key] = self._copies.pop(key)  # now the most recently used
        loop = asyncio.get_running_loop()
        copy.forgetting = loop.call_later(self._keep_seconds, self._forget, key, copy)
        idle = [at for at, other in self._copies.items() if not other.users]
        for at in idle[:-_MOST_IDLE]:
            self._end_if_unused(self._copies.pop(at))

    def _forget(self, key: _Key, copy: _Copy) -> None:
        """The copy has expired."""
        if not copy.users and self._copies.get(key) is copy:
            del self._copies[key]
            self._end_if_unused(copy)

    def _end_if_unused(self, copy: _Copy) -> None:
        if copy.users:
            return  # its last user closes it
        if copy.forgetting is not None:
            copy.forgetting.cancel()
        if (content := copy.content) is not None:
            content.close()
        elif not copy.loading.done():
            copy.loading.cancel()
            self._ending.add(copy.loading)
            copy.loading.add_done_callback(self._ending.discard)

    async def _load(self, place: Place, version: str | None, session: Session) -> _Content:
        data = await self.whole(place, version, session)
        if isinstance(data, memoryview) and isinstance(data.obj, mmap):
            return _Mapped(data)
        held = SpooledBuffer(self._quotas)
        try:
            await held.append(data)
        except BaseException:
            held.close()
            raise
        return held

    async def _insist(self, place: Place, version: str | None, session: Session) -> None:
        if version is None:
            return
        if (await self._theirs.call(Backend.file_info, place, session)).version != version:
            raise Changed
