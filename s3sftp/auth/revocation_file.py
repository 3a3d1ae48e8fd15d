"""Reads `auth.revoked_keys` at each login by key or certificate, and fails closed.

Like sshd, and unlike users' keys, the list is looked at when it is needed, in each process: so a revocation
holds from the next login on, without a reload. While the list cannot be read or understood, nobody knows who
is revoked, and no key and no certificate opens an account.
"""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from pathlib import Path

from s3sftp.auth.krl import MAGIC, parse_krl
from s3sftp.auth.revocations import BadRevocations, Revocations
from s3sftp.auth.revoked_lines import parse_revoked_lines
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.auth")
_MOST_BYTES = 64 << 20
_Look = tuple[int, ...]


class RevocationFile:
    """The list in a file, which is parsed again when it has changed. May be used by several threads."""

    def __init__(self, file: Path | None, *, tells: bool = True) -> None:
        """`file`: None if nothing is ever revoked. `tells`: whether to log what is wrong with it."""
        self._file = file
        self._tells = tells
        self._lock = threading.Lock()
        self._look: _Look | None = None
        self._revocations = Revocations()
        self.known_problem = ""
        """Why the list could not be used when it was last looked at; empty if it could."""

    async def current(self) -> Revocations:
        """What is revoked now.

        Raises BadRevocations: if the list cannot be used. Each new reason is logged once.
        """
        if self._file is None:
            return self._revocations
        return await asyncio.to_thread(self.read)

    async def problem(self) -> str:
        """Why the list cannot be used now; empty if it can."""
        try:
            await self.current()
        except BadRevocations:
            return self.known_problem
        return ""

    def read(self) -> Revocations:
        """The same as `current`. Blocking."""
        if self._file is None:
            return self._revocations
        with self._lock:
            try:
                self._read_if_changed(self._file)
            except OSError as error:
                self._look = None
                self._note(error.strerror or str(error))
            if self.known_problem:
                raise BadRevocations(self.known_problem)
            return self._revocations

    def _read_if_changed(self, file: Path) -> None:
        """Raises OSError: if the file cannot be read."""
        if self._look is not None and _look_of(os.stat(file)) == self._look:
            return
        # without O_NONBLOCK, opening a pipe would wait for somebody who writes
        with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise OSError("is not a file")
            data = stream.read(_MOST_BYTES + 1)
        problem = ""
        try:
            self._revocations = parse_revocations(data)
        except BadRevocations as error:
            problem = str(error)
        self._look = _look_of(found)
        self._note(problem)

    def _note(self, problem: str) -> None:
        problem = f"auth.revoked_keys: {self._file}: {problem}" if problem else ""
        if problem == self.known_problem:
            return
        self.known_problem = problem
        if not self._tells:
            return
        if problem:
            _log.error(
                "revocations.unusable", problem=problem, detail="no key and no certificate opens an account"
            )
        else:
            _log.info("revocations.usable", file=str(self._file))


def parse_revocations(data: bytes) -> Revocations:
    """What the content of a file revokes: a Key Revocation List, or lines.

    Raises BadRevocations: if it cannot be understood.
    """
    if len(data) > _MOST_BYTES:
        raise BadRevocations(f"is longer than {_MOST_BYTES >> 20} MiB")
    if not data:
        # more often a file that is being written, or an empty Secret, than a wish to revoke nothing
        raise BadRevocations(
            "is empty; a list that revokes nothing is one line with '#', or an empty `ssh-keygen -k`"
        )
    return parse_krl(data) if data.startswith(MAGIC) else parse_revoked_lines(data)


def _look_of(found: os.stat_result) -> _Look:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
