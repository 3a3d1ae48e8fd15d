"""Appends lines to a file that several processes share, without making anybody wait for the disk.

    any thread ── put ──► queue (`audit_queue`) ──► one thread ── lock, append, unlock ──► file

`appended_file` keeps lines whole and follows rotation. With a chain (`audit_chain_file`), the lines are
linked under its lock.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from s3sftp.telemetry.appended_file import AppendedFile, append_whole, ends_whole
from s3sftp.telemetry.audit_chain_file import FileChain
from s3sftp.telemetry.audit_queue import LAST_SECONDS, MAX_BYTES, Failed, LineWriter, Recovered

_BLOCK_BYTES = 16 << 10
_MAX_LINE_BYTES = 16 << 20
_LOCK_SECONDS = 3.0
"""How long others may hold the lock of the file until it counts as a failure."""


class AuditFile(LineWriter):
    """A file of lines. `put` never waits."""

    def __init__(
        self,
        file: Path,
        failed: Failed,
        recovered: Recovered,
        max_bytes: int = MAX_BYTES,
        chain: FileChain | None = None,
        lock_seconds: float = _LOCK_SECONDS,
    ) -> None:
        super().__init__(failed, recovered, max_bytes)
        self._file = AppendedFile(file, lock_seconds)
        self._chain = chain

    def finish(self, seconds: float = LAST_SECONDS) -> bool:
        is_written = super().finish(seconds)
        if is_written and self._chain is not None:
            self._chain.anchor()
        return is_written

    # ── in the thread ───────────────────────────────────────────────────────────────────────────────

    def _idle_seconds(self) -> float | None:
        return None if self._chain is None else self._chain.seconds_to_anchor()

    def _idle(self) -> None:
        if self._chain is not None:
            self._chain.anchor()

    def _write(self, lines: Sequence[bytes]) -> None:
        try:
            self._append(lines)
        except OSError:
            self._file.close()
            raise

    def _append(self, lines: Sequence[bytes]) -> None:
        with (
            self._chain.alone() if self._chain is not None else nullcontext(),
            self._file.locked() as descriptor,
        ):
            self._append_to(descriptor, lines)

    def _append_to(self, descriptor: int, lines: Sequence[bytes]) -> None:
        size = os.fstat(descriptor).st_size
        if self._chain is None:
            cut_off = b"" if ends_whole(descriptor, size) else b"?"
            data, last = b"".join(lines), None
        else:
            last_line, cut_off = _ending(descriptor, size)
            data, last = self._chain.link(lines, last_line, cut_off)
        if cut_off:  # the machine stopped while it was written
            data = b"\n" + data
        append_whole(descriptor, size, data)
        if self._chain is not None and last is not None:
            self._chain.advance(last)


def _ending(descriptor: int, size: int) -> tuple[bytes, bytes]:
    """The last whole line of a file, without its line feed, and the beginning of another behind it."""
    data, begin = b"", size
    while begin and data.count(b"\n") < 2 and len(data) < _MAX_LINE_BYTES:
        count = min(_BLOCK_BYTES, begin)
        begin -= count
        data = os.pread(descriptor, count, begin) + data
    whole, _, cut_off = data.rpartition(b"\n")
    return whole.rpartition(b"\n")[2], cut_off
