"""Keeps the chain of an audit log that several processes append to.

    /var/log/s3sftp/audit.log          the lines
    /var/log/s3sftp/audit.log.chain    the place of the last line, and the lock of all writers

The file beside the log survives what the log does not: a rotation, after which the log is empty. It is
written after the lines, so a process that is killed in between leaves it behind them; then the last line of
the log has the place.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

from s3sftp.errors import ConfigurationError
from s3sftp.telemetry.audit_chain import (
    HASH,
    MIN_KEY_BYTES,
    Position,
    is_genuine,
    is_keyed,
    link,
    read_line,
)

ANCHOR_SECONDS = 300.0
_MAX_KEY_BYTES = 64 << 10
_STATE_BYTES = 4096
_MODE = 0o600
_SUFFIX = ".chain"

Anchored = Callable[[Position], None]
"""Called in the thread that writes the log with the place of a line, for a record that is kept elsewhere."""
Broken = Callable[[str], None]
"""Called in the same thread if somebody else has changed the log, with what is wrong."""


class FileChain:
    """Links the lines that this process appends, after those of all others. Not for several threads."""

    def __init__(
        self,
        file: Path,
        key: bytes | None,
        anchored: Anchored,
        anchor_seconds: float = ANCHOR_SECONDS,
        broken: Broken = lambda problem: None,
    ) -> None:
        self._state_file = state_file(file)
        self._key = key
        self._keys = () if key is None else (key,)
        self._anchored = anchored
        self._broken = broken
        self._anchor_seconds = anchor_seconds
        self._anchored_at = monotonic()
        self._is_anchored = True
        self._descriptor = -1
        self._last: Position | None = None
        """The place of the last line that this process has written."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from writing. Raises OSError: if the file of the chain cannot be opened."""
        descriptor = self._descriptor = self._locked()
        try:
            yield
        finally:
            self._descriptor = -1
            os.close(descriptor)  # unlocks

    def link(self, lines: Sequence[bytes], last_line: bytes, cut_off: bytes) -> tuple[bytes, Position]:
        """The lines as they follow on what is in the log: its last line, and the beginning of another that
        a crash has left. Call it, and `advance`, while `alone`."""
        after = self._place_after(last_line)
        linked = []
        for line in lines:
            data, after = link(line, after, self._key, cut_off)
            cut_off = b""
            linked.append(data)
        return b"".join(linked), after

    def advance(self, last: Position) -> None:
        """Note that the lines up to this place are written."""
        self._last, self._is_anchored = last, False
        state = {"chain": last.chain, "sequence": last.sequence, "hash": last.hash}
        data = json.dumps(state).encode("ascii") + b"\n"
        with suppress(OSError):  # the lines are in the log, and the next writer finds the place there
            os.ftruncate(self._descriptor, os.pwrite(self._descriptor, data, 0))

    def seconds_to_anchor(self) -> float | None:
        """In how many seconds `anchor` should be called. None: there is nothing to anchor."""
        if self._is_anchored:
            return None
        return max(0.0, self._anchored_at + self._anchor_seconds - monotonic())

    def anchor(self) -> None:
        """Report the place of the last line, unless it was reported before."""
        if not self._is_anchored and self._last is not None:
            self._is_anchored, self._anchored_at = True, monotonic()
            self._anchored(self._last)

    def _place_after(self, last_line: bytes) -> Position:
        """The place of the last line of all. Of several opinions about one chain, the furthest is right: a
        log that somebody has cut shows less than there was. Where one has a key, those without are forged."""
        found = [each for each in (self._read_state(), self._place_of(last_line), self._last) if each]
        if not found:
            return Position(secrets.token_hex(8), 0, "")
        keyed = [each for each in found if is_keyed(each.hash)]
        if self._key is not None and 0 < len(keyed) < len(found):
            self._broken("lines of the chain were hashed with a key, and what follows them without a key")
            found = keyed
        chain = found[0].chain
        if self._last is not None and self._last.chain != chain:
            self._broken(f"the log has chain {chain} now, and this process wrote to chain {self._last.chain}")
        same = [each for each in found if each.chain == chain]
        return max(same, key=lambda each: each.sequence)

    def _place_of(self, line: bytes) -> Position | None:
        read = read_line(line)
        return read.at if read is not None and is_genuine(read, self._keys) else None

    def _read_state(self) -> Position | None:
        try:
            read = json.loads(os.pread(self._descriptor, _STATE_BYTES, 0))
            place = Position(str(read["chain"]), int(read["sequence"]), str(read["hash"]))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):  # Infinity, deep lists
            return None
        is_chain = len(place.chain) == 16 and set(place.chain) <= set("0123456789abcdef")
        is_place = is_chain and 0 < place.sequence < 10**18 and HASH.fullmatch(place.hash)
        return place if is_place else None

    def _locked(self) -> int:
        """The file of the chain, locked, and still the one of this name."""
        while True:
            descriptor = open_state(self._state_file)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if os.path.samestat(os.stat(self._state_file), os.fstat(descriptor)):
                    return descriptor
            except FileNotFoundError:  # removed while this process waited
                pass
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)


def state_file(file: Path) -> Path:
    """The file beside the log."""
    return file.with_name(f"{file.name}{_SUFFIX}")


def without_states(files: Sequence[Path]) -> list[Path]:
    """The files but for those that keep the place of another one's chain, or of one it was renamed from."""
    return [each for each in files if not any(_is_state_of(each, other) for other in files)]


def _is_state_of(file: Path, log: Path) -> bool:
    name = file.name.removesuffix(_SUFFIX)
    return (
        file.name.endswith(_SUFFIX)
        and file != log
        and log.parent == file.parent
        and log.name.startswith(name)
    )


def open_state(file: Path) -> int:
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, _MODE)


def read_key(file: Path, option: str) -> bytes:
    """The key of a chain: the whole content of a file, without a line feed at its end. Blocks.

    Raises ConfigurationError: if it cannot be read, or is short enough to be guessed.
    """
    try:
        with file.open("rb") as stream:
            key = stream.read(_MAX_KEY_BYTES + 1).removesuffix(b"\n")
    except OSError as error:
        raise ConfigurationError(
            [f"{option} = {str(file)!r}: cannot read it: {error.strerror or error}"]
        ) from None
    if not MIN_KEY_BYTES <= len(key) <= _MAX_KEY_BYTES:
        raise ConfigurationError(
            [
                f"{option} = {str(file)!r}: has {len(key)} bytes; a key should have {MIN_KEY_BYTES} to "
                f"{_MAX_KEY_BYTES}: make one with `openssl rand -hex 32`"
            ]
        )
    return key
