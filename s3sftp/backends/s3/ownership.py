"""Which unfinished uploads are ours: a journal that outlives the process.

    <state_dir>/uploads/<instance>/lock          held (flock) as long as the instance lives
    <state_dir>/uploads/<instance>/<write>.json  one unfinished upload

The line is written before S3 is asked to create the upload, so that not even a crash in between leaves one
that nobody knows. The janitor aborts what instances that are gone have left; it needs no other knowledge, and
never touches an upload that no journal names.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")
_LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Claim:
    """One unfinished upload."""

    endpoint: str
    bucket: str
    key: str
    claimed_at: float
    """Seconds since the epoch."""
    upload_id: str | None = None
    """None: S3 was asked to create it, and what it said is not known."""


class Entry:
    """A claim on disk. Writing it is a promise to finish or abort the upload."""

    def __init__(self, path: Path | None, claim: Claim) -> None:
        self._path = path
        self.claim = claim

    async def named(self, upload_id: str) -> None:
        """Note the upload's id."""
        self.claim = replace(self.claim, upload_id=upload_id)
        await self._write()

    async def written(self) -> Entry:
        await self._write()
        return self

    async def done(self) -> None:
        """The upload is completed or aborted."""
        if self._path is not None:
            try:
                await asyncio.to_thread(self._path.unlink, missing_ok=True)
            except OSError as problem:
                _log.warning("upload_journal_not_cleared", error=str(problem))

    async def _write(self) -> None:
        """A journal that cannot be written costs an unfinished upload that stays, at worst; that is no reason
        to refuse a file."""
        if self._path is not None:
            try:
                await asyncio.to_thread(_write_durably, self._path, json.dumps(asdict(self.claim)))
            except OSError as problem:
                _log.warning("upload_journal_not_written", error=str(problem))


class Journal:
    """The claims of this instance, and those of the dead. Without a directory it remembers nothing."""

    def __init__(self, state_dir: Path | None, endpoint: str, bucket: str) -> None:
        self._uploads = None if state_dir is None else state_dir / "uploads"
        self._endpoint = endpoint
        self._bucket = bucket
        self._lock: int | None = None
        self._own: Path | None = None
        self.abandoned: list[Entry] = []
        """Own uploads whose abort failed."""

    async def start(self) -> None:
        if self._uploads is not None:
            self._own, self._lock = await asyncio.to_thread(_open_instance, self._uploads)

    async def stop(self) -> None:
        """Let go. Claims that are left stay for the janitor of whoever comes next."""
        if self._own is not None and self._lock is not None:
            await asyncio.to_thread(_close_instance, self._own, self._lock)
            self._own = self._lock = None

    async def claim(self, key: str, *, at: float | None = None) -> Entry:
        """Note that an upload is about to be created (or was, at that time); returns when that is on disk."""
        path = None if self._own is None else self._own / f"{uuid.uuid4().hex}.json"
        return await Entry(path, Claim(self._endpoint, self._bucket, key, at or time.time())).written()

    def is_own(self, claim: Claim) -> bool:
        """Whether a claim is for this journal's bucket: others may share the directory."""
        return (claim.endpoint, claim.bucket) == (self._endpoint, self._bucket)

    async def dead_instances(self) -> list[DeadInstance]:
        """Take over the claims of instances that are gone. Each must be closed."""
        if self._uploads is None:
            return []
        return await asyncio.to_thread(lambda: list(_dead_instances(self._uploads, self._own)))


class DeadInstance:
    """An instance that is gone; its lock is ours until `close`."""

    def __init__(self, path: Path, lock: int) -> None:
        self._path = path
        self._lock = lock

    async def entries(self) -> list[Entry]:
        return await asyncio.to_thread(lambda: list(_entries(self._path)))

    async def close(self) -> None:
        """Let go; the directory is removed when no claim is left in it."""
        await asyncio.to_thread(_close_instance, self._path, self._lock)


def _open_instance(uploads: Path) -> tuple[Path, int]:
    """Make this instance's directory. Named only when it is locked: no janitor sees it unlocked."""
    uploads.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = uuid.uuid4().hex
    hidden = uploads / f".{name}"
    hidden.mkdir(mode=0o700)
    lock = os.open(hidden / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return hidden.rename(uploads / name), lock


def _close_instance(path: Path, lock: int) -> None:
    if not any(path.glob("*.json")):
        shutil.rmtree(path, ignore_errors=True)
    os.close(lock)


def _dead_instances(uploads: Path | None, own: Path | None) -> Iterator[DeadInstance]:
    if uploads is None or not uploads.is_dir():
        return
    for path in sorted(uploads.iterdir()):
        if path == own or path.name.startswith("."):
            continue
        lock = _try_lock(path / _LOCK)
        if lock is not None:
            yield DeadInstance(path, lock)


def _try_lock(path: Path) -> int | None:
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _entries(path: Path) -> Iterator[Entry]:
    for file in sorted(path.glob("*.json")):
        try:
            yield Entry(file, Claim(**json.loads(file.read_text())))
        except (OSError, ValueError, TypeError) as problem:
            _log.warning("upload_journal_unreadable", file=file.name, error=str(problem))


def _write_durably(path: Path, text: str) -> None:
    """Whole or not at all, also when the machine stops."""
    fresh = path.with_suffix(".new")
    with fresh.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
