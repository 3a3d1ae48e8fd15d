"""Which names this server has made files or directories of: hints that outlive the facts.

A bucket can hold `a` and `a/b` at once, and then no listing shows both: the file hides the directory. To find
out before each upload would cost requests, and facts live for seconds. So the server remembers what it made
itself, and only where a new file would hide that, or be hidden by it, is the store asked.

    slot of "a"      digest of "a", and whether it was made a file or a directory
    …                a name that falls on a taken slot replaces what was there

The slots are memory that all workers write to: a number at a time, so nothing is read half-written. A hint is
never an answer. It may be out of date, as others change the bucket too.
"""

from __future__ import annotations

import enum
from hashlib import blake2b

from s3sftp.runtime.shared_counters import SharedCounters

ROWS = 1 << 16
"""As many slots for each worker: half a megabyte."""
_KIND_BITS = 3


class CreatedKind(enum.IntEnum):
    """What was made of a name."""

    FILE = 1
    DIRECTORY = 2


class CreatedNames:
    """The hints, as one worker uses them; without a table they are this process's alone."""

    def __init__(self, table: SharedCounters | None = None) -> None:
        self._slots = (table or SharedCounters.alone(ROWS)).numbers

    def note(self, key: str, made: CreatedKind) -> None:
        """Remember what was made of a key (no slash at its end)."""
        slot, digest = self._find(key)
        self._slots[slot] = digest | made

    def note_below(self, key: str) -> None:
        """Remember the directories that a key is in."""
        position = key.rfind("/")
        while position > 0:
            key = key[:position]
            self.note(key, CreatedKind.DIRECTORY)
            position = key.rfind("/")

    def is_noted(self, key: str, made: CreatedKind) -> bool:
        """Whether the last that was made of the key is this, as far as it is remembered."""
        slot, digest = self._find(key)
        return self._slots[slot] == digest | made

    def forget(self, key: str) -> None:
        """The key is not what was made of it any more."""
        slot, digest = self._find(key)
        if self._slots[slot] & ~_KIND_BITS == digest:
            self._slots[slot] = 0

    def _find(self, key: str) -> tuple[int, int]:
        raw = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        digest = int.from_bytes(raw, "little") & ~_KIND_BITS
        return (digest >> 2) % len(self._slots), digest
