"""An open file that is read: ranged requests behind it, bytes ahead of it.

    ────────────┬───────────────┬───────────────┬────────
      delivered │ fetch         │ fetch         │ not asked for yet
                │ pieces   ▓▓▓░░│ ▓░░           │
                └ READs wait here for bytes to arrive

A fetch is one ranged request whose body is taken only as far as the reader may want it (`allowed`), so a
reader that turns away costs little. Its pieces are let go of one by one as they are delivered. A READ is
answered with every byte that it asked for, or fails: never short before the end of the file.
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
from s3sftp.fs.read.read_ahead import ReadAhead
from s3sftp.fs.read.throughput import Throughput, ThroughputSample
from s3sftp.runtime.cancellation import is_own_cancellation
from s3sftp.telemetry import Costs, charging

OPEN_BYTES = 1 << 20
"""What is asked for of a file that nothing is known of: all of most files, and little of a large one."""
_EAGER_BYTES = 64 << 10
"""What of it is taken before anybody reads."""
_MOST_FETCHES = 8
"""Ranged requests of one reader ahead of what is asked for, and idle ones that may stay."""


@dataclass(eq=False, slots=True)
class AwaitedRange:
    """Bytes `[start, stop)` that someone waits for, and the fetches that are to bring them."""

    start: int
    stop: int
    target: int = 0
    """How far bytes should come ahead."""
    fetches: list[Fetch] = field(default_factory=list)

    def wait_for(self, fetches: list[Fetch]) -> None:
        """Wait for these, and no longer for those before."""
        for fetch in fetches:
            fetch.waiters += 1
        for fetch in self.fetches:
            fetch.waiters -= 1
        self.fetches = fetches

    def is_filled(self) -> bool:
        """Whether all of it has come. Raises what a fetch failed with."""
        return all(fetch.has_filled(min(self.stop, fetch.stop)) for fetch in self.fetches)

    async def wait(self) -> None:
        """Until `is_filled`."""
        for fetch in self.fetches:
            await fetch.wait_filled(min(self.stop, fetch.stop))


class Reader:
    """Serves reads of one version of one file."""

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
        self._pace = Throughput(options.range_bytes)
        self._loop = asyncio.get_running_loop()
        self._fetches: list[Fetch] = []
        self._closing: set[asyncio.Task[None]] = set()
        self._expected: set[AwaitedRange] = set()
        self._bytes_came: Callable[[], None] | None = None
        self.costs = costs or Costs()
        """The requests that it made."""
        self._beginning: AsyncIterator[Buffer] | None = None

    def go_on(self, beginning: AsyncIterator[Buffer], began: float) -> None:
        """The first `OPEN_BYTES` of the file are on their way, asked for at `began`.

        A small file is taken at once, for its connection is needed by others; more when it is read.
        """
        self._beginning = beginning
        fetch = Fetch(0, min(OPEN_BYTES, self.info.size))
        self._enter(fetch, beginning, began)
        self._allow(fetch, 0, min(_EAGER_BYTES, fetch.stop))

    def try_read(self, offset: int, length: int) -> list[memoryview] | None:
        """The bytes, if they are here already; None: `read` must wait. No bytes: the end of the file."""
        stop = min(offset + length, self.info.size)
        if offset >= stop:
            return []
        fetches = self._overlapping(offset, stop)
        if self._expected or not _are_ready(fetches, offset, stop):
            return None  # also while others wait, so that bytes are delivered in the order of the requests
        views = self._deliver(fetches, offset, stop)
        self._cover(offset, stop, self._observe(offset, stop), needed=False)
        return views

    async def read(self, offset: int, length: int) -> list[memoryview]:
        """The bytes `[offset, offset + length)`, fewer only at the end of the file, none beyond it.

        The views are good until the next await. Raises Changed, NotFound, StorageFailure, … as
        `CompleteBackend.read_file_range`.
        """
        stop = min(offset + length, self.info.size)
        if offset >= stop:
            return []
        expected = self.expect(offset, length)
        try:
            while (views := self.collect(expected)) is None:
                await expected.wait()
            return views
        finally:
            self.forget(expected)

    def expect(self, offset: int, length: int) -> AwaitedRange:
        """Set the bytes on their way, for `collect`; as many ranges as it takes run at once."""
        stop = min(offset + length, self.info.size)
        expected = AwaitedRange(offset, stop)
        if offset < stop:
            expected.target = self._observe(offset, stop)
            expected.wait_for(self._fetched_for(expected))
            self._expected.add(expected)
        return expected

    def collect(self, expected: AwaitedRange) -> list[memoryview] | None:
        """The bytes, once they are here; None: not yet. They are no longer expected then, nor after an error.

        Whoever cannot wait is told of bytes that came through `listen`. Otherwise as `read`.
        """
        start, stop = expected.start, expected.stop
        if start >= stop:
            return []
        try:
            while expected.is_filled():
                fetches = self._overlapping(start, stop)
                if _are_ready(fetches, start, stop):
                    views = self._deliver(fetches, start, stop)
                    self.forget(expected)
                    return views
                expected.wait_for(self._fetched_for(expected))  # another has taken some of them, say
        except BaseException:
            self.forget(expected)
            raise
        return None

    def forget(self, expected: AwaitedRange) -> None:
        """Nobody waits for it any more. May be called again."""
        expected.wait_for([])
        self._expected.discard(expected)

    def listen(self, bytes_came: Callable[[], None] | None) -> None:
        """From now on call this whenever bytes have come, or will not come: often, so it shall do little."""
        self._bytes_came = bytes_came

    async def close(self) -> None:
        """Stop all fetches and give their memory back."""
        for fetch in list(self._fetches):
            self._drop(fetch)
        self._budget.leave(self)
        if self._closing:
            await asyncio.wait(self._closing)
        if self._beginning is not None:  # its task may have been cancelled before it began
            await _close(self._beginning)

    def _observe(self, start: int, stop: int) -> int:
        """How far ahead bytes should be on their way: as the reader's pace and the budget have it."""
        self._ahead.most = min(self._most_ahead, self._pace.ahead, self._budget.fair_share())
        return self._ahead.observe(start, stop)

    def _fetched_for(self, expected: AwaitedRange) -> list[Fetch]:
        self._cover(expected.start, expected.stop, expected.target)
        return self._overlapping(expected.start, expected.stop)

    def _cover(self, start: int, stop: int, target: int, *, needed: bool = True) -> None:
        """See to it that every byte of `[start, stop)`, and what should come ahead, is on its way.

        What is needed is charged to the budget in any case; what comes ahead only while there is room.
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
        """Let a fetch go on; False when there is no room for what is only wanted."""
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
        """The fetch that has the byte at `at` (and, as far as it goes, up to `stop`) still to deliver."""
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
        with charging(self.costs):
            fetch.task = asyncio.create_task(self._fill(fetch, pieces, began))

    async def _fill(self, fetch: Fetch, pieces: AsyncIterator[Buffer], began: float) -> None:
        """`began` is when the request was made, for its answer to be timed."""
        stretch = ThroughputSample(self._pace)
        try:
            async for piece in pieces:
                if fetch.dropped:
                    return
                now = self._loop.time()
                if fetch.filled == fetch.start:
                    self._pace.answered(now - began)
                stretch.came(len(piece), now)
                fetch.put(piece)
                self._charge_surplus(fetch)
                self._tell()
                if fetch.allowed <= fetch.filled < fetch.stop:
                    stretch.paused()
                    if not await fetch.wait_allowed():
                        self._cut_off(fetch)
                        return
            if fetch.filled < fetch.stop:
                raise StorageFailure("the storage ended a file too early")
        except (Exception, asyncio.CancelledError) as error:
            if not isinstance(error, Exception):
                if is_own_cancellation():
                    raise
                error = StorageFailure(detail="a read was cancelled by the storage")
            self._discard(fetch)  # whoever waits for these bytes raises it; a later READ tries again
            fetch.fail(error)
            self._tell()
        finally:
            await _close(pieces)

    def _tell(self) -> None:
        if self._bytes_came is not None:
            self._bytes_came()

    def _overlapping(self, start: int, stop: int) -> list[Fetch]:
        """The fetches that together cover `[start, stop)`, in order; fewer if not all is on its way."""
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
            views.extend(fetch.views(at, upto))  # fetches of readers that jump about may overlap
            at = upto
            self._give_back(fetch, fetch.freed - before)
            if fetch.is_through:
                self._discard(fetch)
        self._pace.took(stop - start, self._loop.time())
        return views

    def _charge_surplus(self, fetch: Fetch) -> None:
        """Pieces come as they come: a little more than was allowed may have arrived."""
        self._charge_needed(fetch, fetch.filled)

    def _charge_needed(self, fetch: Fetch, stop: int) -> None:
        if stop > fetch.charged:
            self._budget.need(stop - fetch.charged)
            fetch.needed += stop - fetch.charged
            fetch.charged = stop

    def _give_back(self, fetch: Fetch, count: int) -> None:
        needed = min(count, fetch.needed)
        fetch.needed -= needed
        self._budget.give_read(ahead=count - needed, needed=needed)

    def _cut_off(self, fetch: Fetch) -> None:
        """Nobody wants more of it for now: a later READ begins where it ends."""
        freed = fetch.freed
        fetch.cut_off()
        self._give_back(fetch, fetch.freed - freed)
        if fetch.is_through:
            self._discard(fetch)

    def _forget_idle(self, start: int, target: int) -> None:
        """A reader that jumped away leaves streams behind: stop the oldest that nobody waits for."""
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
