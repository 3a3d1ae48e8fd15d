"""What a worker reads of a quota's numbers while another writes them: nothing vanishes between two words."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from s3sftp.backends import Amount
from s3sftp.fs.quota.quotas import NOTHING, Counts, Tally
from s3sftp.fs.quota.shared_counts import ROWS, SharedQuotaCounts
from s3sftp.runtime.shared_counters import SharedCounters, create_shared_file

A = Amount


class Stepping:
    """The numbers of a table, with something that happens before each read and after each write."""

    def __init__(self, numbers: memoryview, step: Callable[[], None]) -> None:
        self._numbers = numbers
        self._step = step

    def __getitem__(self, at: int) -> int:
        self._step()
        return self._numbers[at]

    def __setitem__(self, at: int, number: int) -> None:
        self._numbers[at] = number
        self._step()


class SteppingCounters(SharedCounters):
    """A table as one process sees it while another one is at work."""

    step: Callable[[], None] = staticmethod(lambda: None)

    @property
    def numbers(self) -> Any:
        return Stepping(super().numbers, lambda: self.step())


@pytest.fixture
def columns() -> list[SteppingCounters]:
    memory = create_shared_file(ROWS, 2)
    tables = []
    for column in (0, 1):
        shared = SteppingCounters.shared(memory, 2, column)
        assert isinstance(shared, SteppingCounters)
        tables.append(shared)
    os.close(memory)
    return tables


none = Amount()
CHANGES = {
    "an upload is booked": (
        Counts(held=A(30, 1), admitted=A(30, 1)),
        Counts(held=none - A(30, 1), admitted=none - A(30, 1), added=A(30, 1)),
    ),
    "a removal is booked": (Counts(leaving=A(20, 1)), Counts(leaving=none - A(20, 1), removed=A(20, 1))),
    "a move inside the place is booked": (
        Counts(admitted=A(30, 1), leaving=A(50, 2)),
        Counts(admitted=none - A(30, 1), leaving=none - A(50, 2), added=A(30, 1), removed=A(50, 2)),
    ),
    "the move of a directory begins": (NOTHING, Counts(moving=1, moves=1)),
}


def check(seen: Tally, before: Tally, after: Tally) -> None:
    """Whoever decides by `seen` errs on the safe side."""
    counts, then, now = seen.counts, before.counts, after.counts
    for unit in ("bytes", "files"):

        def of(*amounts: Amount, unit: str = unit) -> int:
            return sum(getattr(each, unit) for each in amounts)

        assert of(seen.used) >= min(of(before.used), of(after.used)), "room that is not there"
        for pair in ("admitted", "added"), ("leaving", "removed"):
            sums = [of(*(getattr(each, name) for name in pair)) for each in (counts, then, now)]
            assert sums[0] >= min(sums[1:]), f"neither in {pair[0]} nor in {pair[1]}"
    assert counts.moving >= counts.moves - then.moves, "a listing would not notice the move"


def at_once(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing, also inside of another one."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def begun(counts: SharedQuotaCounts, place: str, then: Counts) -> Tally:
    """Have a place with 100 bytes in 10 files, and these other numbers."""
    counts.book(place, then)
    before = at_once(counts.tally(place))
    at_once(counts.set_stored(place, A(100, 10), before, 1.0))
    tally: Tally = at_once(counts.tally(place))
    return tally


@pytest.mark.parametrize("change", CHANGES)
def test_after_each_word_that_is_written_others_see_enough(
    columns: list[SteppingCounters], change: str
) -> None:
    then, more = CHANGES[change]
    writer, reader = map(SharedQuotaCounts, columns)
    before = begun(writer, "place", then)
    seen: list[Tally] = []

    def look() -> None:
        if len(seen) < 100:
            seen.append(at_once(reader.tally("place")))

    columns[0].step = look
    writer.book("place", more)
    after = at_once(writer.tally("place"))
    assert after in seen
    for each in seen:
        check(each, before, after)


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_written_between_two_words_that_are_read_leaves_enough(
    columns: list[SteppingCounters], change: str
) -> None:
    then, more = CHANGES[change]
    writer, reader = map(SharedQuotaCounts, columns)
    for until in range(1, 100):
        place = f"place {until}"
        before = begun(writer, place, then)
        after: list[Tally] = []
        reads = iter(range(1, 100))

        def write(place: str = place, until: int = until, reads: Iterator[int] = reads) -> None:
            if next(reads) == until:
                writer.book(place, more)
                after.append(at_once(writer.tally(place)))  # noqa: B023  called in this round

        columns[1].step = write
        seen = at_once(reader.tally(place))
        if not after:
            break
        check(seen, before, after[0])
    assert until > 10, "there are that many words"
