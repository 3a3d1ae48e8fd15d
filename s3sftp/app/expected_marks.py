"""Remembers, across processes and restarts, which expected files have come and which are decided. Blocking.

<state_dir>/expected/lock                        held by the process that decides
<state_dir>/expected/seen/RULE%2FDAY%2FUSER      the file has come; made by any process
<state_dir>/expected/told/RULE%2FDAY%2FUSER      it is decided whether the file came in time
<state_dir>/expected/since/RULE%2FUSER           since when the rule expects files of the user: a file's time
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from s3sftp.events.expect.rules import ExpectedFile

KEPT_DAYS = 14
"""How long marks are kept: longer than a file may be early, or a decision late."""


class ExpectedMarks:
    """The marks in one state directory. Every method raises OSError: if the directory cannot be used."""

    def __init__(self, state_dir: Path) -> None:
        self._directory = state_dir / "expected"
        self._lock: int | None = None

    def lead(self) -> bool:
        """Whether this process is the one that decides: it is until it ends."""
        if self._lock is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            except OSError:
                os.close(descriptor)
                raise
            self._lock = descriptor
        return True

    def close(self) -> None:
        """Let another process decide."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def see(self, file: ExpectedFile) -> None:
        """Remember that a file has come."""
        _touch(self._of("seen", file))

    def has_seen(self, file: ExpectedFile) -> bool:
        return self._of("seen", file).exists()

    def tell(self, file: ExpectedFile) -> None:
        """Remember that it is decided whether a file came in time."""
        _touch(self._of("told", file))

    def has_told(self, file: ExpectedFile) -> bool:
        return self._of("told", file).exists()

    def begin(self) -> bool:
        """Whether this is the first use of the directory: nothing is known of the time before."""
        try:
            (self._directory / "since").mkdir(parents=True)
        except FileExistsError:
            return False
        return True

    def since(self, rule: str, user: str, otherwise: datetime) -> datetime:
        """Since when a rule expects files of a user: the first time that this was asked for since the user
        was forgotten, or `otherwise` then."""
        file = self._since(rule, user)
        try:
            return datetime.fromtimestamp(file.stat().st_mtime, UTC)
        except FileNotFoundError:
            _touch(file)
            os.utime(file, (otherwise.timestamp(), otherwise.timestamp()))
            return otherwise

    def forget_all_but(self, expected: Iterable[tuple[str, str]]) -> None:
        """Forget since when files are expected, but of these rules with their users."""
        kept = {self._since(*each) for each in expected}
        for file in list((self._directory / "since").iterdir()):
            if file not in kept:
                file.unlink(missing_ok=True)

    def forget_old(self) -> None:
        """Remove what no decision needs any more."""
        oldest = time.time() - timedelta(days=KEPT_DAYS).total_seconds()
        for file in self._files():
            with suppress(FileNotFoundError):
                if file.stat().st_mtime < oldest:
                    file.unlink()

    def _files(self) -> Iterator[Path]:
        for kind in ("seen", "told"):
            with suppress(FileNotFoundError):
                yield from list((self._directory / kind).iterdir())

    def _since(self, rule: str, user: str) -> Path:
        return self._directory / "since" / quote(f"{rule}/{user}", safe="")

    def _of(self, kind: str, file: ExpectedFile) -> Path:
        return self._directory / kind / quote(file.text, safe="")


def _touch(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(0o600)
