"""A byte buffer that is held in memory while it is small, and in a private temporary file beyond that."""

from __future__ import annotations

from dataclasses import dataclass, field

from s3sftp.backends.contract import Buffer
from s3sftp.backends.spool import SpoolFile, SpoolQuota

_EACH_BYTES = 8 << 20
_TOTAL_BYTES = 64 << 20
_STEP_BYTES = 4 << 20
"""Bytes per write to the spool."""


class MemoryQuota:
    """Bounds the memory of all buffers together, and of each. What exceeds it goes to the spool."""

    def __init__(self, each: int = _EACH_BYTES, total: int = _TOTAL_BYTES) -> None:
        self.each = each
        self.total = total
        self.used = 0

    def try_take(self, has: int, more: int) -> bool:
        """Use `more` bytes for a buffer that already has `has`. Returns False if the quota does not allow
        it."""
        if has + more > self.each or self.used + more > self.total:
            return False
        self.used += more
        return True


@dataclass(frozen=True, slots=True)
class BufferQuotas:
    """The memory and disk quotas of buffers."""

    spool: SpoolQuota
    memory: MemoryQuota = field(default_factory=MemoryQuota)


class SpooledBuffer:
    """Bytes that are appended, one call after the other, and then read. `close` returns the quota."""

    def __init__(self, rooms: BufferQuotas) -> None:
        self.size = 0
        self._rooms = rooms
        self._pieces: list[bytes] = []
        self._in_memory = 0
        self._spool: SpoolFile | None = None

    async def append(self, data: Buffer) -> None:
        """Append a copy of `data`.

        Raises NoSpace: if neither memory nor the spool has room for it.
        """
        if self._spool is None and self._rooms.memory.try_take(self.size, len(data)):
            self._pieces.append(bytes(data))
            self._in_memory += len(data)
        else:
            await self._append_to_spool(data)
        self.size += len(data)

    async def read(self, start: int, stop: int) -> Buffer:
        """The bytes `[start, stop)`."""
        if self._spool is not None:
            return await self._spool.read(start, stop)
        return memoryview(self._joined())[start:stop]

    def whole(self) -> Buffer:
        """The whole content: bytes, or a read-only view of the spool file, which takes no memory of the
        process."""
        return self._joined() if self._spool is None else self._spool.mapped(self.size)

    def close(self) -> None:
        """Free the memory and the spool file. Views from `whole` stay valid. May be called again."""
        self._forget_memory()
        if self._spool is not None:
            self._spool.close()

    def _joined(self) -> bytes:
        if len(self._pieces) != 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0]

    async def _append_to_spool(self, data: Buffer) -> None:
        if self._spool is None:
            self._spool = await SpoolFile.open(self._rooms.spool)
            at = 0
            for piece in self._pieces:
                await self._spool.write(at, piece)
                at += len(piece)
            self._forget_memory()
        view = memoryview(data)
        for at in range(0, len(view), _STEP_BYTES):
            await self._spool.write(self.size + at, view[at : at + _STEP_BYTES])

    def _forget_memory(self) -> None:
        self._rooms.memory.used -= self._in_memory
        self._in_memory = 0
        self._pieces = []
