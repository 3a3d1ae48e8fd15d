"""Reads an open file by ranged requests, with read-ahead.

    ────────────┬───────────────┬───────────────┬────────
      delivered │ fetch         │ fetch         │ not requested yet
                │ pieces   ▓▓▓░░│ ▓░░           │
                └ READs wait here for bytes to arrive

A fetch is one ranged request, whose body is received only as far as the reader may need it (`allowed`), so a
reader that stops or jumps away wastes little. Each piece is released when it has been delivered. A READ gets
every byte that it requests, or fails: it is never short before the end of the file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from s3sftp.backends import Buffer, CompleteBackend, FileInfo, Place, Session
from s3sftp.errors import StorageFailure
from s3sftp.fs.budget import ByteBudget
from s3sftp.fs.options import FileOptions
from s3sftp.fs.read.fetch import Fetch
from s3sftp.fs.read.read_ahead import ReadAhead, Throughput, ThroughputSample
from s3sftp.runtime.cancellation import StrayCancellationGuard
from s3sftp.telemetry import Costs, charging, in_transfer

OPEN_BYTES = 1 << 20
"""The bytes requested when a file is opened: all of most files, and little of a large one."""
_EAGER_BYTES = 64 << 10
"""How many of these bytes are received before the first READ."""
_MOST_FETCHES = 8
"""The maximum number of a reader's fetches for read-ahead, and of those that stay although they are idle."""
_cancelled_is_failed = StrayCancellationGuard(
    lambda: StorageFailure(detail="a read was cancelled by the storage")
)


@dataclass(eq=False, slots=True)
class AwaitedRange:
    """The bytes `[start, stop)` that a READ waits for, and the fetches that will deliver them."""

    start: int
    stop: int
    target: int = 0
    """The offset up to which bytes should be fetched, including read-ahead."""
    fetches: list[Fetch] = field(default_factory=list)

    def wait_for(self, fetches: list[Fetch]) -> None:
        """Wait for these fetches in place of the former ones."""
        for fetch in fetches:
            fetch.waiters += 1
        for fetch in self.fetches:
            fetch.waiters -= 1
        self.fetches = fetches

    def is_filled(self) -> bool:
        """Whether all bytes have arrived. Raises the failure of a fetch: if they never will."""
        return all(fetch.has_filled(min(self.stop, fetch.stop)) for fetch in self.fetches)

    async def wait(self) -> None:
        """Wait until `is_filled`. Raises the failure of a fetch: if the bytes never arrive."""
        for fetch in self.fetches:
            await fetch.wait_filled(min(self.stop, fetch.stop))


class Reader:
    """Serves the READs of one version of one file."""

    def __init__(
        self,
        backend: CompleteBackend,
        place: Place,
        info: FileInfo,
        session: Session,
        options: FileOptions,
        budget: ByteBudget,
        costs: Costs | None = None,
    ) -> None:
        self.info = info
        self._backend = backend
        self._place = place
        self._session = session
        self._range_bytes = options.range_bytes
        self._budget = budget
        self._most_ahead = options.read_ahead_bytes
        self._ahead = ReadAhead(info.size, 0)
        self._throughput = Throughput(options.range_bytes)
        self._loop = asyncio.get_running_loop()
        self._fetches: list[Fetch] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._awaited: set[AwaitedRange] = set()
        self._bytes_came: Callable[[], None] | None = None
        self.costs = costs or Costs()
        """The costs of its requests."""
        self._beginning: AsyncIterator[Buffer] | None = None

    def continue_with(self, beginning: AsyncIterator[Buffer], began: float) -> None:
        """Adopt the request for the first `OPEN_BYTES` of the file, which was made at `began`.

        The first `_EAGER_BYTES` are received at once, so that a small file frees its connection for other
        requests. The rest is received when it is read.
        """
        self._beginning = beginning
        fetch = Fetch(0, min(OPEN_BYTES, self.info.size))
        self._enter(fetch, beginning, began)
        self._allow(fetch, 0, min(_EAGER_BYTES, fetch.stop))

    def try_read(self, offset: int, length: int) -> list[memoryview] | None:
        """The bytes `[offset, offset + length)` if they are in memory, else None. An empty list means the end
        of the file.

        `offset` and `length` are in bytes; the result is as in `read`.
        """
        stop = min(offset + length, self.info.size)
        if offset >= stop:
            return []
        fetches = self._overlapping(offset, stop)
        if self._awaited or not _are_ready(fetches, offset, stop):
            return None  # also while others wait, so that READs are answered in order
        views = self._deliver(fetches, offset, stop)
        self._cover(offset, stop, self._observe(offset, stop), needed=False)
        return views

    async def read(self, offset: int, length: int) -> list[memoryview]:
        """The bytes `[offset, offset + length)`, fewer only at the end of the file, none beyond it.

        The views are valid until the next await. Raises Changed, NotFound, StorageFailure, …: as
        `CompleteBackend.read_file_range`.
        """
        stop = min(offset + length, self.info.size)
        if offset >= stop:
            return []
        awaited = self.expect(offset, length)
        try:
            while (views := self.collect(awaited)) is None:
                await awaited.wait()
            return views
        finally:
            self.forget(awaited)

    def expect(self, offset: int, length: int) -> AwaitedRange:
        """Start to fetch bytes for `collect`, with as many concurrent ranged requests as they take."""
        stop = min(offset + length, self.info.size)
        awaited = AwaitedRange(offset, stop)
        if offset < stop:
            awaited.target = self._observe(offset, stop)
            awaited.wait_for(self._fetched_for(awaited))
            self._awaited.add(awaited)
        return awaited

    def collect(self, awaited: AwaitedRange) -> list[memoryview] | None:
        """The bytes of `expect`, or None if they have not all arrived. Forgets them unless it returns None.

        A caller that cannot wait learns of new bytes through `listen`. Raises the same errors as `read`.
        """
        start, stop = awaited.start, awaited.stop
        if start >= stop:
            return []
        try:
            while awaited.is_filled():
                fetches = self._overlapping(start, stop)
                if _are_ready(fetches, start, stop):
                    views = self._deliver(fetches, start, stop)
                    self.forget(awaited)
                    return views
                awaited.wait_for(self._fetched_for(awaited))  # e.g. another READ has taken some of them
        except BaseException:
            self.forget(awaited)
            raise
        return None

    def forget(self, awaited: AwaitedRange) -> None:
        """Stop waiting for the bytes of `expect`. May be called more than once."""
        awaited.wait_for([])
        self._awaited.discard(awaited)

    def listen(self, bytes_came: Callable[[], None] | None) -> None:
        """Set the callback for when bytes have arrived or a fetch has failed. It is called often, so it has
        to be fast. None removes it."""
        self._bytes_came = bytes_came

    async def close(self) -> None:
        """Cancel all fetches and give their memory back to the budget."""
        for fetch in list(self._fetches):
            self._drop(fetch)
        self._budget.leave(self)
        if self._closing:
            await asyncio.wait(self._closing)
        if self._beginning is not None:  # the task may have been cancelled before its first step
            await _close(self._beginning)

    def _observe(self, start: int, stop: int) -> int:
        """The offset up to which to fetch, by the reader's pattern and throughput and by the budget."""
        self._ahead.most = min(self._most_ahead, self._throughput.ahead, self._budget.fair_share())
        return self._ahead.observe(start, stop)

    def _fetched_for(self, awaited: AwaitedRange) -> list[Fetch]:
        self._cover(awaited.start, awaited.stop, awaited.target)
        return self._overlapping(awaited.start, awaited.stop)

    def _cover(self, start: int, stop: int, target: int, *, needed: bool = True) -> None:
        """Make sure that every byte of `[start, stop)`, and the read-ahead up to `target`, is being fetched.

        Needed bytes are always charged to the budget; read-ahead only happens while the budget has room.
        """
        self._forget_idle(start, target)
        length = self._range_bytes if target > stop else stop - start
        at = start if needed else stop
        while at < target:
            fetch = self._fetch_at(at, stop if at < stop else at + 1)
            if fetch is None:
                if at >= stop and len(self._fetches) >= _MOST_FETCHES:
                    return
                fetch = self._begin(at, length)
            if not self._allow(fetch, min(stop, fetch.stop), min(target, fetch.stop)):
                return
            at = fetch.stop

    def _allow(self, fetch: Fetch, needed: int, wanted: int) -> bool:
        """Allow a fetch to continue up to `wanted`. Returns False, and allows only the `needed` bytes, if the
        budget has no room for the read-ahead."""
        if wanted <= fetch.allowed:
            return True
        self._charge_needed(fetch, needed)
        more = wanted - fetch.charged
        has_room = more <= 0 or self._budget.try_ahead(more)
        if has_room and more > 0:
            fetch.charged = wanted
        fetch.allow(wanted if has_room else needed)
        return has_room

    def _fetch_at(self, at: int, stop: int) -> Fetch | None:
        """The fetch that has yet to deliver the byte at `at` (and those after it up to `stop` or its end)."""
        for fetch in self._fetches:
            if fetch.start <= at < fetch.stop:
                there = min(stop, fetch.stop, fetch.filled)
                if at >= there or fetch.has(at, there):
                    return fetch
        return None

    def _begin(self, at: int, length: int) -> Fetch:
        starts = [fetch.start for fetch in self._fetches if fetch.start > at]
        fetch = Fetch(at, min([at + length, self.info.size, *starts]))
        pieces = self._backend.read_file_range(
            self._place, fetch.start, fetch.stop, self.info.version, self._session
        )
        self._enter(fetch, pieces, began=self._loop.time())
        return fetch

    def _enter(self, fetch: Fetch, pieces: AsyncIterator[Buffer], began: float) -> None:
        self._fetches.append(fetch)
        self._budget.enter(self)
        with charging(self.costs), in_transfer():
            fetch.task = asyncio.create_task(self._fill(fetch, pieces, began))

    async def _fill(self, fetch: Fetch, pieces: AsyncIterator[Buffer], began: float) -> None:
        """The task of a fetch: receive its body, and keep the failure for the READs that wait for it."""
        try:
            with _cancelled_is_failed:
                await self._receive(fetch, pieces, began)
        except Exception as error:
            self._discard(fetch)  # the READs that wait raise the error; later ones retry
            fetch.fail(error)
            self._notify()
        finally:
            await _close(pieces)

    async def _receive(self, fetch: Fetch, pieces: AsyncIterator[Buffer], began: float) -> None:
        """Receive the body of a fetch. `began` is when the request was made, to measure its latency."""
        sample = ThroughputSample(self._throughput)
        async for piece in pieces:
            if fetch.dropped:
                return
            now = self._loop.time()
            if fetch.filled == fetch.start:
                self._throughput.answered(now - began)
            sample.came(len(piece), now)
            fetch.put(piece)
            self._charge_surplus(fetch)
            self._notify()
            if fetch.allowed <= fetch.filled < fetch.stop:
                sample.paused()
                if not await fetch.wait_allowed():
                    self._cut_off(fetch)
                    return
        if fetch.filled < fetch.stop:
            raise StorageFailure("the storage ended a file too early")

    def _notify(self) -> None:
        if self._bytes_came is not None:
            self._bytes_came()

    def _overlapping(self, start: int, stop: int) -> list[Fetch]:
        """The fetches that cover `[start, stop)`, in order, up to the first byte that no fetch covers."""
        found: list[Fetch] = []
        at = start
        while at < stop and (fetch := self._fetch_at(at, stop)) is not None:
            found.append(fetch)
            at = fetch.stop
        return found

    def _deliver(self, fetches: list[Fetch], start: int, stop: int) -> list[memoryview]:
        views: list[memoryview] = []
        at = start
        for fetch in fetches:
            before = fetch.freed
            upto = min(stop, fetch.stop)
            views.extend(fetch.views(at, upto))  # fetches may overlap if the reader jumps about
            at = upto
            self._give_back(fetch, fetch.freed - before)
            if fetch.is_through:
                self._discard(fetch)
        self._throughput.took(stop - start, self._loop.time())
        return views

    def _charge_surplus(self, fetch: Fetch) -> None:
        """Charge bytes that arrived beyond the allowed offset, because a piece may extend past it."""
        self._charge_needed(fetch, fetch.filled)

    def _charge_needed(self, fetch: Fetch, stop: int) -> None:
        if stop > fetch.charged:
            self._budget.need(stop - fetch.charged)
            fetch.needed += stop - fetch.charged
            fetch.charged = stop

    def _give_back(self, fetch: Fetch, count: int) -> None:
        needed = min(count, fetch.needed)
        fetch.needed -= needed
        self._budget.release_read(ahead=count - needed, needed=needed)

    def _cut_off(self, fetch: Fetch) -> None:
        """End a paused fetch early. A later READ starts a new one where it ends."""
        freed = fetch.freed
        fetch.cut_off()
        self._give_back(fetch, fetch.freed - freed)
        if fetch.is_through:
            self._discard(fetch)

    def _forget_idle(self, start: int, target: int) -> None:
        """Cancel the oldest fetches that no READ waits for: a reader leaves them behind when it jumps
        away."""
        idle = [f for f in self._fetches if not f.waiters and (f.stop <= start or f.start >= target)]
        for fetch in idle[: max(0, len(self._fetches) - _MOST_FETCHES)]:
            self._drop(fetch)

    def _drop(self, fetch: Fetch) -> None:
        self._discard(fetch)
        if fetch.task is not None and not fetch.task.done():
            fetch.task.cancel()
            self._closing.add(fetch.task)
            fetch.task.add_done_callback(self._closing.discard)

    def _discard(self, fetch: Fetch) -> None:
        if not fetch.dropped:
            fetch.dropped = True
            self._fetches.remove(fetch)
            self._give_back(fetch, fetch.charged - fetch.start - fetch.freed)
            fetch.pieces.clear()


async def _close(pieces: AsyncIterator[Buffer]) -> None:
    close = getattr(pieces, "aclose", None)
    if close is not None:
        await close()


def _are_ready(fetches: list[Fetch], start: int, stop: int) -> bool:
    covered = start
    for fetch in fetches:
        if fetch.start > covered or fetch.filled < min(stop, fetch.stop):
            return False
        covered = fetch.stop
    return covered >= stop
