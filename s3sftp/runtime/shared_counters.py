"""Numbers that several processes share: a table in memory, a column for each process.

              worker 1   worker 2   worker 3
    row 0         7          0          2        a process writes its own column alone, so nothing is locked;
    row 1         0          0          1        what a row says is the sum over its columns
    …

A process that wrote a number before it sent a message to somebody has that number seen by whoever acts on
the message. One process alone has a table of one column in its own memory.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from itertools import accumulate
from zlib import crc32

_NUMBER = 8
"""Bytes of a number: aligned, so that it is never read half-written."""


class SharedCounters:
    """The rows, as one process sees them. `column` is the one that it may write."""

    def __init__(self, memory: memoryview, columns: int, column: int) -> None:
        self._numbers = memory.cast("Q")
        self.columns = columns
        self.column = column

    @classmethod
    def alone(cls, rows: int) -> SharedCounters:
        """A table of one column, shared with nobody. Only rows that are used take memory."""
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        return cls(memoryview(mmap.mmap(-1, rows * _NUMBER, private)), 1, 0)

    @classmethod
    def shared(cls, descriptor: int, columns: int, column: int) -> SharedCounters:
        """The table in the file of `create_shared_file`."""
        size = os.fstat(descriptor).st_size
        return cls(memoryview(mmap.mmap(descriptor, size)), columns, column)

    @property
    def numbers(self) -> memoryview:
        """All numbers, flat: for what any process may overwrite, as nothing is lost by that, and for whoever
        counts so often that a call is too much."""
        return self._numbers

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._numbers) // self.columns

    def part(self, start: int, rows: int) -> SharedCounters:
        """Some of the rows as a table of their own."""
        numbers = self._numbers[start * self.columns : (start + rows) * self.columns]
        return SharedCounters(numbers.cast("B"), self.columns, self.column)

    def split(self, *rows: int) -> Iterator[SharedCounters]:
        """The table in parts of so many rows each, in this order."""
        for start, count in zip(accumulate(rows, initial=0), rows, strict=False):
            yield self.part(start, count)

    def total(self, row: int) -> int:
        """The sum over all columns."""
        start = row * self.columns
        return sum(self._numbers[start : start + self.columns])

    def others(self, row: int) -> int:
        """The sum over the columns of the other processes."""
        if self.columns == 1:
            return 0
        return self.total(row) - self._numbers[row * self.columns + self.column]

    def add(self, row: int, count: int = 1) -> None:
        """Change the own column's number. It must not become negative."""
        self._numbers[row * self.columns + self.column] += count

    def set(self, row: int, number: int) -> None:
        """Put another number into the own column."""
        self._numbers[row * self.columns + self.column] = number

    def in_column(self, row: int, column: int) -> int:
        """What one process has written."""
        return self._numbers[row * self.columns + column]

    def clear_column(self, column: int) -> None:
        """Forget the numbers of a process that is gone; only for what they count."""
        for index in range(column, len(self._numbers), self.columns):
            if self._numbers[index]:
                self._numbers[index] = 0


def create_shared_file(rows: int, columns: int) -> int:
    """A memory file for `SharedCounters.shared` that child processes inherit; the caller closes it."""
    descriptor = os.memfd_create("s3sftp-counters", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, rows * columns * _NUMBER)
    return descriptor


def row_for(text: str, rows: int, salt: int = 0) -> int:
    """The row that a text falls on; the same in every process. Others may fall on it too."""
    return crc32(text.encode("utf-8", "surrogatepass"), salt) % rows
