"""Records which unfinished uploads are ours, in a journal that outlives the process.

    journal ─┬─ disk_journal     files in the state directory, for the next start with it
             ├─ bucket_journal   small objects below the prefix, for any other replica
             └─ none             remembered as long as the process lives

A claim is written before S3 is asked to create the upload, so that not even a crash in between leaves an
upload that no journal knows. The janitor aborts what dead instances have left. It needs no other knowledge,
and never touches an upload that no journal names.
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
"""Seconds since the epoch that can be converted to a date."""


@dataclass(frozen=True, slots=True)
class UploadClaim:
    """One unfinished upload."""

    endpoint: str
    bucket: str
    key: str
    claimed_at: _Moment
    upload_id: str | None = None
    """None: S3 was asked to create the upload, and its reply is not known."""
    requests: Annotated[int, Field(ge=1)] = 1
    """Create requests without a known reply, and so the maximum number of uploads."""
    asked_until: _Moment | None = None
    """When the last of several requests was sent."""
    renewed_every: Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)] | None = None
    """Seconds between signs of life of the instance that made the claim, if it has to give them."""
    kept_in: str | None = None
    """The name of the record that keeps the upload for its user (`kept/`). As long as that record names the
    upload, the record alone says when it is aborted."""
    kept_by: str | None = None
    """The record's `owner` while this instance sends parts. Another owner has continued the upload."""

    def fields(self) -> dict[str, object]:
        """The claim as it is written, without missing values."""
        return {name: value for name, value in asdict(self).items() if value is not None}


_CLAIM: Final = TypeAdapter(UploadClaim)


def parse_claim(data: bytes) -> UploadClaim:
    """Parse a claim that this or another release has written. Raises ValueError: if it is none."""
    try:
        return _CLAIM.validate_json(data)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from None


class ClaimRecord(Protocol):
    """Stores one claim. Raises OSError or StorageError: if the storage fails."""

    async def write(self, claim: UploadClaim) -> None:
        """Store the claim; returns when it is durable."""

    async def erase(self) -> None:
        """Remove the claim. Succeeds if it is already gone."""


class JournalStorage(Protocol):
    """Stores the claims of all instances."""

    description: str
    """The location for the log, which an operator can find."""

    async def start(self) -> None:
        """Open the storage. Raises ConfigurationError: if it can never work."""

    async def stop(self) -> None:
        """Close the storage. Remaining claims stay for the janitor of another instance."""

    def record(self) -> ClaimRecord | None:
        """Return a new record for a claim of this instance; None before the start and after the stop."""

    async def others(self) -> list[UploadClaim]:
        """Return the claims of all other instances on this bucket, running or gone.

        Raises StorageError or OSError: if the storage fails.
        """

    def dead(self) -> AbstractAsyncContextManager[list[tuple[ClaimRecord, UploadClaim]]]:
        """Return the claims of instances on this bucket that are gone."""


class JournalEntry:
    """A recorded claim: the promise to complete or abort the upload."""

    def __init__(
        self,
        claim: UploadClaim,
        record: ClaimRecord | None,
        notice: FailureNotice,
        ended: Callable[[JournalEntry], None] = lambda _: None,
    ) -> None:
        """`ended` is called when nothing is left to do."""
        self.claim = claim
        self._record = record
        self._notice = notice
        self._ended = ended

    async def named(self, upload_id: str) -> None:
        """Record the upload's id."""
        self.claim = replace(self.claim, upload_id=upload_id)
        await self._write()

    async def unanswered(self, requests: int) -> None:
        """Record how many create requests the store may have executed."""
        self.claim = replace(self.claim, requests=requests, asked_until=time.time())
        await self._write()

    async def written(self) -> JournalEntry:
        await self._write()
        return self

    async def done(self) -> None:
        """Remove the claim, because the upload is completed or aborted."""
        self._ended(self)
        if self._record is not None:
            try:
                await self._record.erase()
            except (OSError, StorageError) as problem:
                self._notice.failed("journal.erase_failed", problem, _NOT_CLEARED)
            else:
                self._notice.worked("journal.erase_failed")

    async def _write(self) -> None:
        """Write the claim.

        A failure is logged but does not refuse the file, because at worst an unfinished upload remains.
        """
        if self._record is not None:
            try:
                await self._record.write(self.claim)
            except (OSError, StorageError) as problem:
                self._notice.failed("journal.write_failed", problem, _NOT_WRITTEN)
            else:
                self._notice.worked("journal.write_failed")


class FailureNotice:
    """Logs once that an operation of the journal fails, and once that it works again."""

    def __init__(self, description: str = "") -> None:
        self._description = description
        self._told: set[str] = set()

    def failed(self, event: str, problem: OSError | StorageError, advice: str) -> None:
        """Log the event if it is new. `advice` says what follows from it, and until when."""
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
        """Note that the operation has succeeded, and log it if it had failed."""
        if event in self._told:
            self._told.discard(event)
            _log.info("journal.recovered", journal=self._description, after=event)


class UploadJournal:
    """The claims of this instance and of dead ones.

    Without a storage, the claims of this instance are kept in memory only.
    """

    def __init__(
        self, endpoint: str, bucket: str, storage: JournalStorage | None = None, every: float | None = None
    ) -> None:
        """`every` is the number of seconds between this instance's signs of life, if it has to give them."""
        self._endpoint = endpoint
        self._bucket = bucket
        self._storage = storage
        self._every = every
        self._notice = FailureNotice(storage.description if storage is not None else "")
        self._entries: dict[JournalEntry, bool] = {}
        """This instance's entries, in the order of their claims, and whether each is left to the janitor."""

    @property
    def is_kept(self) -> bool:
        """Whether the journal outlives the process."""
        return self._storage is not None

    async def start(self) -> None:
        """Open the storage. Raises ConfigurationError: if it can never work."""
        if self._storage is not None:
            await self._storage.start()

    async def stop(self) -> None:
        """Close the storage. Remaining claims stay for the janitor of another instance."""
        if self._storage is not None:
            self._entries.clear()  # they are in the storage
            await self._storage.stop()

    async def claim(
        self,
        key: str,
        *,
        at: float | None = None,
        requests: int = 1,
        kept_in: str | None = None,
        kept_by: str | None = None,
    ) -> JournalEntry:
        """Record that an upload is about to be created; returns when that is durable. With `at`, record that
        up to `requests` uploads may have been created since that time. `kept_in`, `kept_by`: see
        `UploadClaim`."""
        now = time.time()
        until = None if at is None or requests == 1 else now
        claim = UploadClaim(
            self._endpoint, self._bucket, key, at or now, None, requests, until, self._every, kept_in, kept_by
        )
        record = None if self._storage is None else self._storage.record()
        entry = JournalEntry(claim, record, self._notice, self._ended)
        self._entries[entry] = False
        return await entry.written()

    def abandon(self, entry: JournalEntry) -> None:
        """Leave our upload to the janitor, because its abort failed or its id was never learned."""
        self._entries[entry] = True

    @property
    def abandoned(self) -> list[JournalEntry]:
        """This instance's uploads that are left to the janitor, until they are `done`."""
        return [entry for entry, is_abandoned in self._entries.items() if is_abandoned]

    async def claims(self) -> list[UploadClaim]:
        """Return all current claims: of this instance, of others that run, and of dead ones.

        Raises StorageError or OSError: if the storage fails.
        """
        others = [] if self._storage is None else await self._storage.others()
        return [entry.claim for entry in self._entries] + others

    @asynccontextmanager
    async def dead_entries(self) -> AsyncIterator[list[JournalEntry]]:
        """Return the entries of instances that are gone, for the duration of the block."""
        if self._storage is None:
            yield []
            return
        async with self._storage.dead() as found:
            yield [JournalEntry(claim, record, self._notice) for record, claim in found]

    def _ended(self, entry: JournalEntry) -> None:
        self._entries.pop(entry, None)
