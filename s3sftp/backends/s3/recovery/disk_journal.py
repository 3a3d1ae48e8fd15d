"""Stores the upload journal on disk, for a server that keeps its state directory across restarts.

    <state_dir>/uploads/<instance>/lock          held (flock) as long as the instance lives
    <state_dir>/uploads/<instance>/<write>.json  one unfinished upload

The lock shows which instances live, so an instance that is stopped for hours keeps its uploads.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from s3sftp.backends.s3.recovery.upload_journal import ClaimRecord, UploadClaim, parse_claim
from s3sftp.errors import ConfigurationError
from s3sftp.runtime.cancellation import run_to_completion
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")
_LOCK = "lock"


def require_directory(state_dir: Path) -> None:
    """Create the journal's directory and check that it is writable. Blocks, so do not call it on the event
    loop.

    Raises ConfigurationError: if the directory cannot be written.
    """
    uploads = state_dir / "uploads"
    try:
        _close_instance(*_open_instance(uploads))
    except OSError as error:
        raise ConfigurationError([_cannot_write(uploads, error)]) from error


class DiskClaimRecord:
    """A claim in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def write(self, claim: UploadClaim) -> None:
        await asyncio.to_thread(_write_durably, self._path, json.dumps(claim.fields()))

    async def erase(self) -> None:
        await asyncio.to_thread(self._path.unlink, missing_ok=True)


class DiskJournal:
    """The claims in one state directory. It returns only those on its own bucket, because servers of other
    buckets may share the directory."""

    def __init__(self, state_dir: Path, endpoint: str, bucket: str) -> None:
        self._uploads = state_dir / "uploads"
        self._endpoint = endpoint
        self._bucket = bucket
        self._unreadable: set[Path] = set()
        """Files that have already been logged as unreadable."""
        self._lock: int | None = None
        self._own: Path | None = None
        self.description = str(self._uploads)

    async def start(self) -> None:
        await run_to_completion(self._open())

    async def _open(self) -> None:
        try:
            self._own, self._lock = await asyncio.to_thread(_open_instance, self._uploads)
        except OSError as error:
            raise ConfigurationError([_cannot_write(self._uploads, error)]) from error

    async def stop(self) -> None:
        own, lock, self._own, self._lock = self._own, self._lock, None, None
        if own is not None and lock is not None:
            await run_to_completion(asyncio.to_thread(_close_instance, own, lock))

    def record(self) -> ClaimRecord | None:
        return None if self._own is None else DiskClaimRecord(self._own / f"{uuid.uuid4().hex}.json")

    async def others(self) -> list[UploadClaim]:
        return await asyncio.to_thread(self._others)

    @asynccontextmanager
    async def dead(self) -> AsyncIterator[list[tuple[ClaimRecord, UploadClaim]]]:
        """Return the claims of instances that are gone. They are locked against other janitors until the
        block ends, however it ends. Directories without claims are then removed."""
        taken: list[_Instance] = []
        try:
            await run_to_completion(asyncio.to_thread(_take_over, self._uploads, self._own, taken))
            found = await asyncio.to_thread(lambda: [each for one in taken for each in self._read(one.path)])
            yield [(DiskClaimRecord(file), claim) for file, claim in found]
        finally:
            await run_to_completion(asyncio.to_thread(_let_go, taken))

    def _others(self) -> list[UploadClaim]:
        return [claim for path in _instances(self._uploads, self._own) for _, claim in self._read(path)]

    def _read(self, path: Path) -> Iterator[tuple[Path, UploadClaim]]:
        for file in sorted(path.glob("*.json")):
            try:
                claim = parse_claim(file.read_bytes())
            except FileNotFoundError:
                continue  # the upload has ended meanwhile
            except (OSError, ValueError) as problem:
                if file not in self._unreadable:
                    self._unreadable.add(file)
                    _log.warning("journal.claim_unreadable", file=file.name, error=str(problem))
                continue
            if (claim.endpoint, claim.bucket) == (self._endpoint, self._bucket):
                yield file, claim


@dataclass(frozen=True, slots=True)
class _Instance:
    """An instance that is gone and whose lock this process holds."""

    path: Path
    lock: int


def _cannot_write(uploads: Path, error: OSError) -> str:
    return (
        f's3.journal = "disk" notes unfinished uploads in {uploads}, which cannot be written'
        f" ({error.strerror or error}): name a directory that can be in server.state_dir, or set s3.journal"
        ' to "bucket" (other replicas clean up) or "off" (the bucket\'s lifecycle rule does)'
    )


def _open_instance(uploads: Path) -> tuple[Path, int]:
    """Create this instance's directory.

    It gets its final name only once it is locked, so that no janitor sees it unlocked.
    """
    uploads.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = uuid.uuid4().hex
    hidden = uploads / f".{name}"
    hidden.mkdir(mode=0o700)
    lock = os.open(hidden / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return hidden.rename(uploads / name), lock


def _close_instance(path: Path, lock: int) -> None:
    try:
        if not any(path.glob("*.json")):
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)


def _take_over(uploads: Path, own: Path | None, taken: list[_Instance]) -> None:
    """Lock the directories of instances that are gone; each is in `taken` as soon as it is locked."""
    for path in _instances(uploads, own):
        lock = _try_lock(path / _LOCK)
        if lock is not None:
            taken.append(_Instance(path, lock))


def _let_go(taken: list[_Instance]) -> None:
    for instance in taken:
        _close_instance(instance.path, instance.lock)


def _instances(uploads: Path, own: Path | None) -> Iterator[Path]:
    """The directories of all other instances, running or not."""
    if uploads.is_dir():
        yield from (path for path in sorted(uploads.iterdir()) if path != own and path.name[0] != ".")


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


def _write_durably(path: Path, text: str) -> None:
    """Write a file whole or not at all, even if the machine stops."""
    fresh = path.with_suffix(".new")
    with fresh.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
