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
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from s3sftp.cancelling import finish
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
    requests: int = 1
    """How often S3 was asked without a known answer: so many uploads there may be."""
    asked_until: float | None = None
    """When it was asked for the last time, if more than once."""


class Entry:
    """A claim on disk. Writing it is a promise to finish or abort the upload."""

    def __init__(
        self, path: Path | None, claim: Claim, ended: Callable[[Entry], None] = lambda _: None
    ) -> None:
        """`ended` is told when there is nothing left to do."""
        self._path = path
        self._ended = ended
        self.claim = claim

    async def named(self, upload_id: str) -> None:
        """Note the upload's id."""
        self.claim = replace(self.claim, upload_id=upload_id)
        await self._write()

    async def unanswered(self, requests: int) -> None:
        """Note how many requests to create it may have been carried out."""
        self.claim = replace(self.claim, requests=requests, asked_until=time.time())
        await self._write()

    async def written(self) -> Entry:
        await self._write()
        return self

    async def done(self) -> None:
        """The upload is completed or aborted."""
        self._ended(self)
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
        self._entries: dict[Entry, bool] = {}
        """This instance's, in the order of their claims; and whether each is left to the janitor."""

    async def start(self) -> None:
        await finish(self._open())

    async def _open(self) -> None:
        if self._uploads is not None:
            self._own, self._lock = await asyncio.to_thread(_open_instance, self._uploads)

    async def stop(self) -> None:
        """Let go. Claims that are left stay for the janitor of whoever comes next."""
        own, lock, self._own, self._lock = self._own, self._lock, None, None
        if own is not None and lock is not None:
            self._entries.clear()  # they are on disk
            await finish(asyncio.to_thread(_close_instance, own, lock))

    async def claim(self, key: str, *, at: float | None = None, requests: int = 1) -> Entry:
        """Note that an upload is about to be created; returns when that is on disk. With `at`: that it may
        have been, by so many requests since that time."""
        path = None if self._own is None else self._own / f"{uuid.uuid4().hex}.json"
        now = time.time()
        until = None if at is None or requests == 1 else now
        claim = Claim(self._endpoint, self._bucket, key, at or now, None, requests, until)
        entry = Entry(path, claim, self._ended)
        self._entries[entry] = False
        return await entry.written()

    def abandon(self, entry: Entry) -> None:
        """Leave an own upload to the janitor: its abort failed, or nobody heard its id."""
        self._entries[entry] = True

    @property
    def abandoned(self) -> list[Entry]:
        """Own uploads that are left to the janitor, until they are `done`."""
        return [entry for entry, is_abandoned in self._entries.items() if is_abandoned]

    async def claims(self) -> list[Claim]:
        """All that is claimed now: by this instance, by those that run beside it, and by the dead."""
        own = [entry.claim for entry in self._entries]
        others = [] if self._uploads is None else await asyncio.to_thread(_claims, self._uploads, self._own)
        return own + others

    def is_own(self, claim: Claim) -> bool:
        """Whether a claim is for this journal's bucket: others may share the directory."""
        return (claim.endpoint, claim.bucket) == (self._endpoint, self._bucket)

    @asynccontextmanager
    async def dead_entries(self) -> AsyncIterator[list[Entry]]:
        """The claims of instances that are gone: nobody else's until the block ends, however it ends.
        Directories in which no claim is left are removed then."""
        taken: list[_Instance] = []
        try:
            await finish(asyncio.to_thread(_take_over, self._uploads, self._own, taken))
            yield [entry for instance in taken for entry in instance.entries]
        finally:
            await finish(asyncio.to_thread(_let_go, taken))

    def _ended(self, entry: Entry) -> None:
        self._entries.pop(entry, None)


@dataclass(frozen=True, slots=True)
class _Instance:
    """One that is gone, locked by us."""

    path: Path
    lock: int
    entries: list[Entry]


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
    try:
        if not any(path.glob("*.json")):
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(lock)


def _take_over(uploads: Path | None, own: Path | None, taken: list[_Instance]) -> None:
    """Lock those that are gone; each is in `taken` from its lock on."""
    for path in _instances(uploads, own):
        lock = _try_lock(path / _LOCK)
        if lock is not None:
            taken.append(_Instance(path, lock, []))
            taken[-1].entries.extend(_entries(path))


def _let_go(taken: list[_Instance]) -> None:
    for instance in taken:
        _close_instance(instance.path, instance.lock)


def _claims(uploads: Path, own: Path | None) -> list[Claim]:
    return [entry.claim for path in _instances(uploads, own) for entry in _entries(path)]


def _instances(uploads: Path | None, own: Path | None) -> Iterator[Path]:
    """The directories of all others, running or not."""
    if uploads is not None and uploads.is_dir():
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


def _entries(path: Path) -> Iterator[Entry]:
    for file in sorted(path.glob("*.json")):
        try:
            yield Entry(file, Claim(**json.loads(file.read_text())))
        except FileNotFoundError:
            continue  # ended meanwhile
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
