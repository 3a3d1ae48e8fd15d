"""Remembers which names this server has created as files or directories, as hints for later requests.

These hints outlive the metadata cache. A bucket can hold `a` and `a/b` at once. Then no listing shows both:
the file hides the directory. Checking that before each upload would cost requests, and cached metadata lives
for seconds. So the server remembers the names it has created itself, and asks the store only where a new file
would hide one of them, or be hidden by it.

    slot of "a"      digest of "a", and whether it was created as a file or a directory
    …                a name whose slot is taken replaces the previous one

The slots are memory that all workers write to, one number at a time, so no slot is read half-written. A hint
is never an answer: it may be out of date, as others change the bucket too.
"""

from __future__ import annotations

import enum
from hashlib import blake2b

from s3sftp.runtime.shared_counters import SharedCounters

ROWS = 1 << 16
"""Slots per worker: half a megabyte."""
_KIND_BITS = 3


class CreatedKind(enum.IntEnum):
    """What a name was created as."""

    FILE = 1
    DIRECTORY = 2


class CreatedNames:
    """The hints, as one worker uses them. Without a table they belong to this process alone."""

    def __init__(self, table: SharedCounters | None = None) -> None:
        self._slots = (table or SharedCounters.alone(ROWS)).numbers

    def note(self, key: str, made: CreatedKind) -> None:
        """Remember what a key (without a slash at its end) was created as."""
        slot, digest = self._find(key)
        self._slots[slot] = digest | made

    def note_below(self, key: str) -> None:
        """Remember the directories above a key."""
        position = key.rfind("/")
        while position > 0:
            key = key[:position]
            self.note(key, CreatedKind.DIRECTORY)
            position = key.rfind("/")

    def is_noted(self, key: str, made: CreatedKind) -> bool:
        """Whether the key was last created as this kind, as far as it is remembered."""
        slot, digest = self._find(key)
        return self._slots[slot] == digest | made

    def forget(self, key: str) -> None:
        """Forget a key that is no longer what it was created as."""
        slot, digest = self._find(key)
        if self._slots[slot] & ~_KIND_BITS == digest:
            self._slots[slot] = 0

    def _find(self, key: str) -> tuple[int, int]:
        raw = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        digest = int.from_bytes(raw, "little") & ~_KIND_BITS
        return (digest >> 2) % len(self._slots), digest
