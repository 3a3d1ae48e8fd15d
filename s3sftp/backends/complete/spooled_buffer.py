"""A byte buffer that is held in memory while it is small, and in a private temporary file beyond that."""

from __future__ import annotations

from dataclasses import dataclass, field

from s3sftp.backends.contract import Buffer
from s3sftp.backends.spool import SpoolFile, SpoolQuota
from s3sftp.runtime.quota import ByteQuota

_EACH_BYTES = 8 << 20
"""Maximum memory of one buffer."""
_TOTAL_BYTES = 64 << 20
_STEP_BYTES = 4 << 20
"""Bytes per write to the spool."""


@dataclass(frozen=True, slots=True)
class BufferQuotas:
    """The disk and the memory that all buffers use together. What exceeds the memory goes to the spool."""

    spool: SpoolQuota
    memory: ByteQuota = field(default_factory=lambda: ByteQuota(_TOTAL_BYTES))


class SpooledBuffer:
    """Bytes that are appended, one call after the other, and then read. `close` returns the quota."""

    def __init__(self, quotas: BufferQuotas) -> None:
        self.size = 0
        self._quotas = quotas
        self._pieces: list[bytes] = []
        self._in_memory = 0
        self._spool: SpoolFile | None = None

    async def append(self, data: Buffer) -> None:
        """Append a copy of `data`.

        Raises NoSpace: if it exceeds the quotas of both memory and spool.
        """
        if self._spool is None and self._fits_in_memory(len(data)):
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

    def _fits_in_memory(self, more: int) -> bool:
        """Whether `more` bytes were charged to the memory quota."""
        return self.size + more <= _EACH_BYTES and self._quotas.memory.try_acquire(more)

    def _joined(self) -> bytes:
        if len(self._pieces) != 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0]

    async def _append_to_spool(self, data: Buffer) -> None:
        if self._spool is None:
            self._spool = await SpoolFile.open(self._quotas.spool)
            at = 0
            for piece in self._pieces:
                await self._spool.write(at, piece)
                at += len(piece)
            self._forget_memory()
        view = memoryview(data)
        for at in range(0, len(view), _STEP_BYTES):
            await self._spool.write(self.size + at, view[at : at + _STEP_BYTES])

    def _forget_memory(self) -> None:
        self._quotas.memory.release(self._in_memory)
        self._in_memory = 0
        self._pieces = []
