"""`QuotaCounters` in the memory that the workers of a server share.

            worker 1                   worker 2
    entry   tag of the place           …
            held, admitted, leaving    of this worker's uploads and changes; cleared when the worker ends
            added, removed, moves      by this worker, ever
            stored, counted_at         if this worker has counted: the latest count of all workers holds

Each worker writes its own column alone, so nothing needs a lock, and has its own entries in it: an entry is
one of eight places that a name hashes to. The sum over all columns is what everybody has done. Numbers wrap
at 2^64, so a difference may be negative.

Others may read between two words of a change. What was held and is now stored must be in one of the two
numbers then, or in both, never in neither: somebody would be admitted for whom there is no room. So the
lasting words are written before the fleeting ones (`_ORDER`), and everybody reads in the opposite order.

A place for which a column has no room left is counted by that process alone, until its next start.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import ClassVar, Final

from s3sftp.backends import Amount
from s3sftp.fs.quota.quotas import NOTHING, Counts, Quota, Taken, Tally
from s3sftp.runtime.shared_counters import SharedCounters

_WORDS: Final = 16
_TAG, _FLEETING, _LASTING, _STORED, _COUNTED_AT = 0, 1, 8, 13, 15
"""Where an entry's fields begin."""
_ORDER: Final = (7, 8, 9, 10, 0, 1, 2, 3, 4, 5, 6, 11)
"""In which the numbers of `_fleeting` and `_lasting` are written: `added`, then `removed`, then what is
fleeting, and `moves` last, because `moving` must be seen by whoever sees that."""
_PLACES: Final = 8
ROWS: Final = _WORDS << 14
"""Room for 16 384 places: 2 MiB for each worker, of which only what is used takes memory."""
_WRAP: Final = 1 << 64
_MICRO: Final = 1_000_000


class SharedQuotaCounts:
    """The numbers of one server, as one process sees them."""

    waits: ClassVar[bool] = False

    def __init__(self, table: SharedCounters | None = None) -> None:
        """`table` has `ROWS` rows, or fewer; None: a table of this process alone."""
        self._table = table or SharedCounters.alone(ROWS)
        self._sets = len(self._table) // (_WORDS * _PLACES)
        self._found: dict[tuple[str, int], tuple[SharedCounters, int]] = {}
        """Where the entries are, by place and column. An entry never moves."""
        self._vague: dict[str, int] = {}
        """`Tally.vague` of the places that this process has counted."""

    async def tally(self, place: str) -> Tally:
        return self._tally(place)

    async def look(self, place: str) -> Tally:
        return self._tally(place)

    async def take(self, place: str, more: Amount, grows: Amount, quota: Quota) -> Taken:
        """Whoever needs room adds first and looks then, and takes back what is too much."""
        self.book(place, Counts(held=more))
        tally = self._tally(place)
        if tally.stored is None or (limit := quota.exceeded_by(grows, tally.used)) is None:
            return Taken(tally)
        self.book(place, Counts(held=Amount() - more))
        return Taken(tally, limit)

    def book(self, place: str, more: Counts) -> None:
        if more == NOTHING:
            return
        table, row = self._own(place)
        numbers = _fleeting(more) + _lasting(more)
        for at in _ORDER:
            if numbers[at]:
                own = (row + _FLEETING + at) * table.columns + table.column
                table.numbers[own] = (table.numbers[own] + numbers[at]) % _WRAP

    async def settle(self, place: str) -> bool:
        """All is known at once here."""
        return False

    async def count_begins(self, place: str, known: Tally | None) -> Tally | None:
        return self._tally(place)

    async def count_ends(self, place: str) -> Tally:
        return self._tally(place)

    async def count_is_over(self, place: str) -> None:
        """Each worker counts for itself."""

    async def set_stored(
        self, place: str, stored: Amount, at: Tally, counted_at: float, vague: int = 0
    ) -> None:
        self._vague[place] = vague
        base = stored - (at.counts.added - at.counts.removed)
        table, row = self._own(place)
        for word, number in enumerate((base.bytes, base.files), row + _STORED):
            table.set(word, number % _WRAP)
        table.set(row + _COUNTED_AT, max(1, int(counted_at * _MICRO)))

    def worker_is_gone(self, column: int) -> None:
        """Forget what a worker that has ended was about to store."""
        numbers, columns = self._table.numbers, self._table.columns
        for row in range(0, len(self._table), _WORDS):
            if numbers[(row + _TAG) * columns + column]:
                for word in range(row + _FLEETING, row + _LASTING):
                    numbers[word * columns + column] = 0

    def _tally(self, place: str) -> Tally:
        sums = [0] * (_STORED - _FLEETING)
        base, counted_at = Amount(), 0
        for table, row, column in self._entries(place):
            numbers, columns = table.numbers, table.columns
            start = row * columns + column
            for at in reversed(_ORDER):
                sums[at] += numbers[start + (_FLEETING + at) * columns]
            when = numbers[start + _COUNTED_AT * columns]
            if when > counted_at:
                counted_at = when
                base = Amount(
                    _signed(numbers[start + _STORED * columns]),
                    _signed(numbers[start + (_STORED + 1) * columns]),
                )
        counts = _counts([_signed(each % _WRAP) for each in sums])
        stored = base + counts.added - counts.removed if counted_at else None
        return Tally(counts, stored, counted_at / _MICRO, vague=self._vague.get(place, 0))

    def _entries(self, place: str) -> Iterator[tuple[SharedCounters, int, int]]:
        for column in range(self._table.columns):
            found = self._found.get((place, column)) or self._find(place, column)
            if found is not None:
                yield (*found, found[0].column if found[0] is not self._table else column)

    def _hashed(self, place: str) -> tuple[int, int]:
        """The tag of a place, and the row of the first entry that it may have."""
        digest = blake2b(place.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        tag = int.from_bytes(digest, "big") | 1
        return tag, (tag >> 1) % self._sets * _PLACES * _WORDS

    def _own(self, place: str) -> tuple[SharedCounters, int]:
        column = self._table.column
        return self._found.get((place, column)) or self._find(place, column) or self._make(place, column)

    def _find(self, place: str, column: int) -> tuple[SharedCounters, int] | None:
        tag, start = self._hashed(place)
        for row in range(start, start + _PLACES * _WORDS, _WORDS):
            if self._table.in_column(row + _TAG, column) == tag:
                self._found[place, column] = self._table, row
                return self._table, row
        return None

    def _make(self, place: str, column: int) -> tuple[SharedCounters, int]:
        tag, start = self._hashed(place)
        for row in range(start, start + _PLACES * _WORDS, _WORDS):
            if not self._table.in_column(row + _TAG, column):
                self._table.set(row + _TAG, tag)
                self._found[place, column] = self._table, row
                return self._table, row
        alone = SharedCounters.alone(_WORDS)
        self._found[place, column] = alone, 0
        return alone, 0


def _fleeting(counts: Counts) -> tuple[int, ...]:
    held, admitted, leaving = counts.held, counts.admitted, counts.leaving
    return (
        *(held.bytes, held.files, admitted.bytes, admitted.files),
        *(leaving.bytes, leaving.files, counts.moving),
    )


def _lasting(counts: Counts) -> tuple[int, ...]:
    added, removed = counts.added, counts.removed
    return (added.bytes, added.files, removed.bytes, removed.files, counts.moves)


def _counts(numbers: list[int]) -> Counts:
    """The inverse of `_fleeting` and `_lasting`."""
    amounts = [Amount(*numbers[at : at + 2]) for at in (0, 2, 4, 7, 9)]
    return Counts(amounts[0], amounts[1], amounts[2], numbers[6], amounts[3], amounts[4], numbers[11])


def _signed(number: int) -> int:
    return number - _WRAP if number >= _WRAP >> 1 else number
