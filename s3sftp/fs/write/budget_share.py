"""One upload's part of the byte budget: how many bytes it requests for a WRITE, and what it gives back.

An upload requests a whole chunk before it fills it (docs/decisions/0023), except while its file may be small.
"""

from __future__ import annotations

from s3sftp.fs.budget import BudgetHolder, ByteBudget
from s3sftp.fs.budget_ledger import SpaceRequest
from s3sftp.fs.write.assembly import Assembly

SMALL_BYTES = 256 << 10
"""Files up to this size need no reservation, because they are many and each is soon stored."""


class BudgetShare:
    """The bytes of one upload. `chunk` is the size of its next chunk, which may grow from chunk to chunk."""

    def __init__(self, budget: ByteBudget, holder: BudgetHolder, assembly: Assembly) -> None:
        self._budget = budget
        self._holder = holder
        self._assembly = assembly

    def try_acquire_in_order(self, count: int, chunk: int) -> bool:
        """Acquire bytes that continue the last ones if they fit now. Returns whether they were acquired."""
        budget, holder = self._budget, self._holder
        return budget.try_reserved(holder, count) or budget.try_acquire(holder, self._in_order(count, chunk))

    async def acquire_in_order(self, count: int, chunk: int) -> None:
        """Acquire bytes that continue the last ones, and wait in turn for them. Raises as `acquire`."""
        await self._budget.acquire(self._holder, self._in_order(count, chunk))

    async def acquire_elsewhere(self, offset: int, count: int, chunk: int) -> None:
        """Acquire bytes that wait for earlier ones, or that replace bytes in memory. Raises as `acquire`."""
        await self._budget.acquire(self._holder, self._elsewhere(offset, count, chunk))

    def release(self, count: int) -> None:
        """Give back bytes that are no longer in memory."""
        self._budget.release(self._holder, count)

    def send(self, count: int) -> None:
        """Count `count` bytes as being stored. `ByteBudget.sent` gives them back."""
        self._budget.send(self._holder, count)

    def sent(self, count: int) -> None:
        """Give back `count` bytes that have been stored or could not be."""
        self._budget.sent(count)

    def end(self) -> None:
        """Give back all bytes and reservations, except those being stored."""
        self._budget.end(self._holder)

    def _in_order(self, count: int, chunk: int) -> SpaceRequest:
        """The request for bytes of the current chunk, and of the next one if they extend into it."""
        assembly, front = self._assembly, self._assembly.front
        if front + count > chunk:
            return SpaceRequest(count, 2 * chunk - front)
        missing = max(count, assembly.missing(chunk))
        small = not assembly.cut and front + count <= SMALL_BYTES
        return SpaceRequest(count, missing, own=chunk - missing, small=small)

    def _elsewhere(self, offset: int, count: int, chunk: int) -> SpaceRequest:
        assembly = self._assembly
        missing = assembly.missing(chunk)
        if offset + count > assembly.cut + chunk:
            return SpaceRequest(count, count, own=chunk - missing, behind=True)
        missing = max(count, missing)
        small = not assembly.cut and offset + count <= SMALL_BYTES
        return SpaceRequest(count, missing, own=chunk - missing, small=small)
