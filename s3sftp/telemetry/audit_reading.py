"""Reads the files of an audit log: as far as they are written, compressed or not, in the order of lines."""

from __future__ import annotations

import bz2
import errno
import fcntl
import gzip
import json
import lzma
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from s3sftp.telemetry.audit_chain import Position, read_line

_MAX_LINE_BYTES = 32 << 20
_COMPRESSED: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
"""How a file that begins with these bytes is opened."""
_LOGFMT = re.compile(
    r"(?:timestamp=\S+ level=\w+ event=|[0-9:.]+ info +)audit\.anchored (?:.* )?chain=(?P<chain>[0-9a-f]{16})"
    r"(?= )(?=.* sequence=(?P<sequence>[0-9]{1,18})\b)(?=.* hash=(?P<hash>\S+))"
)
UNREADABLE = (OSError, EOFError, lzma.LZMAError, zlib.error)
"""Raised by `lines_of`: the file is missing, is cut off, or its compressed bytes are damaged."""


@dataclass(frozen=True, slots=True)
class LineFinding:
    """Something about a line."""

    file: Path
    line: int
    """From 1; 0: the whole file."""
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


def anchors_in(log: Path) -> list[Position]:
    """The places in the events `audit.anchored` of a log, whatever its form. It may be a pipe. Blocks.

    Raises OSError, EOFError, LZMAError, zlib.error: if it cannot be read.
    """
    return [place for line in lines_of(log) if b"audit.anchored" in line and (place := _anchor_in(line))]


def anchors_of(logs: Sequence[Path], problems: list[LineFinding]) -> list[Position]:
    """Those of several logs. None in any of them is a problem, because then they show nothing. Blocks."""
    anchors: list[Position] = []
    for log in logs:
        try:
            anchors += anchors_in(log)
        except UNREADABLE as error:
            problems.append(unreadable(log, error))
    if logs and not anchors and not problems:
        names = ", ".join(map(str, logs[1:]))
        text = "has no event audit.anchored" + (f", nor has {names}" if names else "")
        problems.append(LineFinding(logs[0], 0, f"{text}: is it the server's log, of level info or debug?"))
    return anchors


def _anchor_in(line: bytes) -> Position | None:
    found = _LOGFMT.match(line.decode("utf-8", "replace"))
    if found is not None:
        return Position(found["chain"], int(found["sequence"]), found["hash"])
    try:
        read = json.loads(line[max(0, line.find(b"{")) :])
        if read["event"] == "audit.anchored":
            return Position(str(read["chain"]), int(read["sequence"]), str(read["hash"]))
    except (ValueError, KeyError, TypeError):
        pass
    return None


def in_order(files: Sequence[Path], problems: list[LineFinding]) -> list[Path]:
    """The files, each once, by the time at which their chains began and the place of their first lines."""
    begins: dict[str, str] = {}
    places: list[tuple[Path, str, int]] = []
    seen: set[tuple[int, int]] = set()
    for file in files:
        try:
            status = file.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            if not stat.S_ISREG(status.st_mode):  # it is read twice
                raise OSError(errno.EINVAL, "is no regular file")
            time, chain, sequence = _beginning(file)
        except UNREADABLE as error:
            problems.append(unreadable(file, error))
            continue
        begins[chain] = min(time, begins.get(chain, time))
        places.append((file, chain, sequence))
    return [file for file, _, _ in sorted(places, key=lambda each: (begins[each[1]], each[1], each[2]))]


def _beginning(file: Path) -> tuple[str, str, int]:
    """The time, the chain and the place of the first line that has a place."""
    for line in lines_of(file):
        read = read_line(line.removesuffix(b"\n"))
        if read is not None:
            return _time_of(line), read.at.chain, read.at.sequence
    return "", "", 0


def _time_of(line: bytes) -> str:
    try:
        return str(json.loads(line)["time"])
    except (ValueError, KeyError, TypeError):
        return ""


def lines_of(file: Path) -> Iterator[bytes]:
    """The lines, with their line feeds, as far as they are written now."""
    with _opened(file) as stream:
        while line := stream.readline(_MAX_LINE_BYTES):
            yield line


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    with file.open("rb") as raw:
        start = raw.peek(6)  # a pipe cannot be read again
        for magic, open_compressed in _COMPRESSED.items():
            if start.startswith(magic):
                with open_compressed(raw) as stream:
                    yield stream
                return
        if not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
            yield raw
            return
        fcntl.flock(raw, fcntl.LOCK_SH)  # the server writes lines whole while it holds the lock
        size = os.fstat(raw.fileno()).st_size
        fcntl.flock(raw, fcntl.LOCK_UN)
        yield cast(IO[bytes], _Limited(raw, size))


class _Limited:
    """The first bytes of a file that grows."""

    def __init__(self, raw: IO[bytes], size: int) -> None:
        self._raw, self._left = raw, size

    def readline(self, limit: int) -> bytes:
        line = self._raw.readline(min(limit, self._left)) if self._left else b""
        self._left -= len(line)
        return line


def unreadable(file: Path, error: Exception) -> LineFinding:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return LineFinding(file, 0, f"cannot be read: {reason or type(error).__name__}")
