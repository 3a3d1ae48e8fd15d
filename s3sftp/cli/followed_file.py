"""Lines of a file that grows, which may be rotated or truncated at any time."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

_PAUSE_SECONDS = 0.25
_MAX_LINE_BYTES = 1 << 20


def lines_of(file: Path, *, follow: bool) -> Iterator[str]:
    """The lines that there are; with `follow`, also those that come, without an end.

    A line longer than 1 MiB comes in pieces.

    Raises OSError: if the file cannot be read.
    """
    tail = FollowedFile(file)
    with contextlib.closing(tail):
        while True:
            yield from tail.new_lines()
            if not follow:
                yield from tail.unfinished()
                return
            time.sleep(_PAUSE_SECONDS)


class FollowedFile:
    """A file by name: after a rotation, the file that has the name then."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stream = file.open("rb")
        self._rest = b""

    def new_lines(self) -> Iterator[str]:
        """The lines that were finished since the last call, those of a new file of this name too."""
        yield from self._read()
        if self._is_truncated():
            self._stream.seek(0)
            self._rest = b""
            yield from self._read()
        elif self._is_replaced():
            yield from self._read()  # what was written before the rotation was complete
            yield from self.unfinished()
            self._stream.close()
            self._stream = self._file.open("rb")
            yield from self._read()

    def unfinished(self) -> Iterator[str]:
        """The last line, if it does not end in a line feed."""
        if self._rest:
            yield _text(self._rest)
        self._rest = b""

    def close(self) -> None:
        self._stream.close()

    def _read(self) -> Iterator[str]:
        while piece := self._stream.readline(_MAX_LINE_BYTES):
            self._rest += piece
            if piece.endswith(b"\n") or len(self._rest) >= _MAX_LINE_BYTES:
                yield _text(self._rest)
                self._rest = b""

    def _is_truncated(self) -> bool:
        return os.fstat(self._stream.fileno()).st_size < self._stream.tell()

    def _is_replaced(self) -> bool:
        """Whether the name is that of another file now. In the moment in which there is none, it is not."""
        try:
            named = self._file.stat()
        except FileNotFoundError:
            return False
        return not os.path.samestat(named, os.fstat(self._stream.fileno()))


def _text(line: bytes) -> str:
    return line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
