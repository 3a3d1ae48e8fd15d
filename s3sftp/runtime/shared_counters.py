"""Counters that several processes share: a table in memory with a column for each process.

              worker 1   worker 2   worker 3
    row 0         7          0          2        each process writes only its own column: no locks;
    row 1         0          0          1        the value of a row is the sum over its columns
    …

If a process writes a number and then sends a message, the receiver of the message sees that number. A single
process has a table of one column in its own memory.
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
    """The table, as one process sees it. `column` is the one that it may write."""

    def __init__(self, memory: memoryview, columns: int, column: int) -> None:
        self._numbers = memory.cast("Q")
        self.columns = columns
        self.column = column

    @classmethod
    def alone(cls, rows: int) -> SharedCounters:
        """A table of one column, shared with no other process. Only rows that are used take memory."""
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        return cls(memoryview(mmap.mmap(-1, rows * _NUMBER, private)), 1, 0)

    @classmethod
    def shared(cls, descriptor: int, columns: int, column: int) -> SharedCounters:
        """The table in a file from `create_shared_file`."""
        size = os.fstat(descriptor).st_size
        return cls(memoryview(mmap.mmap(descriptor, size)), columns, column)

    @property
    def numbers(self) -> memoryview:
        """All numbers, flat: for values that any process may overwrite without loss, and for callers that
        count too often to afford a method call."""
        return self._numbers

    def __len__(self) -> int:
        """The number of rows."""
        return len(self._numbers) // self.columns

    def part(self, start: int, rows: int) -> SharedCounters:
        """Some of the rows as a table of their own."""
        numbers = self._numbers[start * self.columns : (start + rows) * self.columns]
        return SharedCounters(numbers.cast("B"), self.columns, self.column)

    def split(self, *rows: int) -> Iterator[SharedCounters]:
        """Consecutive parts of the table with these numbers of rows, in this order."""
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
        """Add to the number in this process's column. The result must not be negative."""
        self._numbers[row * self.columns + self.column] += count

    def set(self, row: int, number: int) -> None:
        """Set the number in this process's column."""
        self._numbers[row * self.columns + self.column] = number

    def set_common(self, row: int, number: int) -> None:
        """Set the number of a row that is no sum. Whichever process writes it writes the first column; the
        others stay 0. Of two that write at once, one wins."""
        self._numbers[row * self.columns] = number

    def in_column(self, row: int, column: int) -> int:
        """The number in one process's column."""
        return self._numbers[row * self.columns + column]

    def clear_column(self, column: int) -> None:
        """Reset the numbers of a process that has ended; only for rows that count what ended with it."""
        for index in range(column, len(self._numbers), self.columns):
            if self._numbers[index]:
                self._numbers[index] = 0


def create_shared_file(rows: int, columns: int) -> int:
    """An in-memory file for `SharedCounters.shared` that child processes inherit; the caller closes it."""
    descriptor = os.memfd_create("s3sftp-counters", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, rows * columns * _NUMBER)
    return descriptor


def row_for(text: str, rows: int, salt: int = 0) -> int:
    """The row that a text hashes to, the same in every process. Different texts may share a row."""
    return crc32(text.encode("utf-8", "surrogatepass"), salt) % rows
