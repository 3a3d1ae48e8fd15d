"""Which unfinished uploads are ours: a journal that outlives the process.

    journal ─┬─ journal_disk     files in the state directory, for the next start on it
             ├─ journal_bucket   small objects below the prefix, for any other replica
             └─ none             remembered as long as the process lives

A claim is written before S3 is asked to create the upload, so that not even a crash in between leaves one
that nobody knows. The janitor aborts what instances that are gone have left; it needs no other knowledge, and
never touches an upload that no journal names.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Final, Protocol, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from s3sftp.errors import StorageError
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")
_NOT_WRITTEN: Final = (
    "uploads continue; until this works again, only the bucket's lifecycle rule aborts what a crash leaves"
)
_NOT_CLEARED: Final = (
    "uploads continue; until this works again, the journal keeps entries of uploads that have ended"
)


_Moment: TypeAlias = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]
"""Seconds since the epoch that a date can be made of."""


@dataclass(frozen=True, slots=True)
class UploadClaim:
    """One unfinished upload."""

    endpoint: str
    bucket: str
    key: str
    claimed_at: _Moment
    upload_id: str | None = None
    """None: S3 was asked to create it, and what it said is not known."""
    requests: Annotated[int, Field(ge=1)] = 1
    """How often S3 was asked without a known answer: so many uploads there may be."""
    asked_until: _Moment | None = None
    """When it was asked for the last time, if more than once."""
    renewed_every: Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)] | None = None
    """Seconds between the signs of life of the instance that made it, where it has to give them."""

    def fields(self) -> dict[str, object]:
        """As it is written."""
        return {name: value for name, value in asdict(self).items() if value is not None}


_CLAIM: Final = TypeAdapter(UploadClaim)


def parse_claim(data: bytes) -> UploadClaim:
    """A claim as this version or another one has written it. Raises ValueError."""
    try:
        return _CLAIM.validate_json(data)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from None


class ClaimRecord(Protocol):
    """The place of one claim. Both methods raise OSError or StorageError."""

    async def write(self, claim: UploadClaim) -> None:
        """Keep the claim; returns when it is durable."""

    async def erase(self) -> None:
        """Forget it. Succeeds when it is gone already."""


class JournalStorage(Protocol):
    """Where the claims of all instances are kept."""

    description: str
    """For the log: which place it is that cannot be written."""

    async def start(self) -> None:
        """Raises ConfigurationError when it can never work."""

    async def stop(self) -> None:
        """Let go. Claims that are left stay for the janitor of another instance."""

    def record(self) -> ClaimRecord | None:
        """A new place for a claim of this instance; None before the start and after the stop."""

    async def others(self) -> list[UploadClaim]:
        """The claims of all other instances on this bucket, running or gone. Raises StorageError, OSError."""

    def dead(self) -> AbstractAsyncContextManager[list[tuple[ClaimRecord, UploadClaim]]]:
        """The claims of instances on this bucket that are gone."""


class JournalEntry:
    """A claim that is kept. Writing it is a promise to finish or abort the upload."""

    def __init__(
        self,
        claim: UploadClaim,
        record: ClaimRecord | None,
        notice: FailureNotice,
        ended: Callable[[JournalEntry], None] = lambda _: None,
    ) -> None:
        """`ended` is told when there is nothing left to do."""
        self.claim = claim
        self._record = record
        self._notice = notice
        self._ended = ended

    async def named(self, upload_id: str) -> None:
        """Note the upload's id."""
        self.claim = replace(self.claim, upload_id=upload_id)
        await self._write()

    async def unanswered(self, requests: int) -> None:
        """Note how many requests to create it may have been carried out."""
        self.claim = replace(self.claim, requests=requests, asked_until=time.time())
        await self._write()

    async def written(self) -> JournalEntry:
        await self._write()
        return self

    async def done(self) -> None:
        """The upload is completed or aborted."""
        self._ended(self)
        if self._record is not None:
            try:
                await self._record.erase()
            except (OSError, StorageError) as problem:
                self._notice.failed("journal.erase_failed", problem, _NOT_CLEARED)
            else:
                self._notice.worked("journal.erase_failed")

    async def _write(self) -> None:
        """A journal that cannot be written costs an unfinished upload that stays, at worst; that is no reason
        to refuse a file."""
        if self._record is not None:
            try:
                await self._record.write(self.claim)
            except (OSError, StorageError) as problem:
                self._notice.failed("journal.write_failed", problem, _NOT_WRITTEN)
            else:
                self._notice.worked("journal.write_failed")


class FailureNotice:
    """Tells once that something of the journal fails, and once that it works again."""

    def __init__(self, description: str = "") -> None:
        self._description = description
        self._told: set[str] = set()

    def failed(self, event: str, problem: OSError | StorageError, advice: str) -> None:
        """`advice` says what follows, and until when."""
        if event not in self._told:
            self._told.add(event)
            detail = problem.detail if isinstance(problem, StorageError) else None
            _log.warning(
                event,
                journal=self._description,
                error=str(problem),
                detail=detail,
                advice=advice,
            )

    def worked(self, event: str) -> None:
        """What failed with that event has succeeded."""
        if event in self._told:
            self._told.discard(event)
            _log.info("journal.recovered", journal=self._description, after=event)


class UploadJournal:
    """The claims of this instance, and those of the dead. Without a storage it remembers its own."""

    def __init__(
        self, endpoint: str, bucket: str, storage: JournalStorage | None = None, every: float | None = None
    ) -> None:
        """`every` is how often this instance gives signs of life, if it has to."""
        self._endpoint = endpoint
        self._bucket = bucket
        self._storage = storage
        self._every = every
        self._notice = FailureNotice(storage.description if storage is not None else "")
        self._entries: dict[JournalEntry, bool] = {}
        """This instance's, in the order of their claims; and whether each is left to the janitor."""

    @property
    def is_kept(self) -> bool:
        """Whether it outlives the process."""
        return self._storage is not None

    async def start(self) -> None:
        """Raises ConfigurationError."""
        if self._storage is not None:
            await self._storage.start()

    async def stop(self) -> None:
        """Let go. Claims that are left stay for the janitor of another instance."""
        if self._storage is not None:
            self._entries.clear()  # they are stored
            await self._storage.stop()

    async def claim(self, key: str, *, at: float | None = None, requests: int = 1) -> JournalEntry:
        """Note that an upload is about to be created; returns when that is durable. With `at`: that it may
        have been, by so many requests since that time."""
        now = time.time()
        until = None if at is None or requests == 1 else now
        claim = UploadClaim(self._endpoint, self._bucket, key, at or now, None, requests, until, self._every)
        record = None if self._storage is None else self._storage.record()
        entry = JournalEntry(claim, record, self._notice, self._ended)
        self._entries[entry] = False
        return await entry.written()

    def abandon(self, entry: JournalEntry) -> None:
        """Leave an own upload to the janitor: its abort failed, or nobody heard its id."""
        self._entries[entry] = True

    @property
    def abandoned(self) -> list[JournalEntry]:
        """Own uploads that are left to the janitor, until they are `done`."""
        return [entry for entry, is_abandoned in self._entries.items() if is_abandoned]

    async def claims(self) -> list[UploadClaim]:
        """All that is claimed now: by this instance, by those that run beside it, and by the dead. Raises
        StorageError, OSError."""
        others = [] if self._storage is None else await self._storage.others()
        return [entry.claim for entry in self._entries] + others

    @asynccontextmanager
    async def dead_entries(self) -> AsyncIterator[list[JournalEntry]]:
        """The claims of instances that are gone."""
        if self._storage is None:
            yield []
            return
        async with self._storage.dead() as found:
            yield [JournalEntry(claim, record, self._notice) for record, claim in found]

    def _ended(self, entry: JournalEntry) -> None:
        self._entries.pop(entry, None)
