"""The journal in the bucket: what a replica leaves is found by any other, and no disk is needed.

    <prefix>.s3sftp/uploads/<instance>/<write>.json   one unfinished upload
    <prefix>.s3sftp/uploads/<instance>/lease          written again and again while uploads are unfinished

An instance that has nothing unfinished writes nothing. One with an upload that lasts renews its lease at
every interval. An instance is taken for dead when neither its lease nor a claim of it has changed for
`janitor_min_age`, and for many of its intervals, by the observer's own clock. Should it wake up after that,
its uploads are gone and their CLOSE fails: nothing half is published.

Two that take the same instance for dead do the same work twice: aborting and deleting are idempotent.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import re
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, MutableSet
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Final

from s3sftp.backends.s3.checksums.fallback import send_with_checksum
from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.errors import outcome_is_unknown
from s3sftp.backends.s3.http.request_body import RequestBody
from s3sftp.backends.s3.http.response_body import read_all, response_body
from s3sftp.backends.s3.keys import reserved_prefix
from s3sftp.backends.s3.metadata.objects import new_object
from s3sftp.backends.s3.options import S3Options
from s3sftp.backends.s3.recovery.liveness import Liveness, Mark
from s3sftp.backends.s3.recovery.upload_journal import ClaimRecord, FailureNotice, UploadClaim, parse_claim
from s3sftp.backends.s3.requests.list_pages import pages
from s3sftp.backends.s3.write.delete_object import delete_object
from s3sftp.errors import NotFound, StorageError, StorageFailure, describe_unexpected
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")
LONGEST_INTERVAL: Final = 60.0
SHORTEST_INTERVAL: Final = 0.2
INTERVALS_OF_THE_DEAD: Final = 10
"""An instance that has missed so many renewals, and not fewer, may be dead."""
_MAX_CLAIM_BYTES: Final = 64 << 10
_LEASE = "lease"
_NOT_READABLE: Final = (
    "until this works again, uploads that other replicas left unfinished stay, or some of them do"
)
_NOT_RENEWED: Final = (
    "uploads continue, but once this has failed for s3.janitor_min_age, other replicas take this server for "
    "dead and abort its unfinished uploads"
)
_KEY = re.compile(r"([0-9a-f]{32})/(lease|[0-9a-f]{32}\.json)")


def renewal_interval(options: S3Options) -> float:
    """Seconds between two renewals of a lease."""
    tenth = options.janitor_min_age.total_seconds() / INTERVALS_OF_THE_DEAD
    return min(LONGEST_INTERVAL, max(SHORTEST_INTERVAL, tenth))


def journal_prefix(prefix: str) -> str:
    """What the keys of the journal begin with."""
    return f"{reserved_prefix(prefix)}uploads/"


class BucketClaimRecord:
    """A claim in a small object."""

    def __init__(
        self,
        store: S3Client,
        key: str,
        kept: MutableSet[str],
        written: Callable[[], None] = lambda: None,
        *,
        may_exist: bool = True,
    ) -> None:
        """`kept` has the keys of claims that are not erased; `written` is called when this one may exist."""
        self._store = store
        self._key = key
        self._kept = kept
        self._written = written
        self._may_exist = may_exist

    async def write(self, claim: UploadClaim) -> None:
        self._kept.add(self._key)  # before it can be seen in a listing: what is not kept is erased
        try:
            await put_small(self._store, self._key, json.dumps(claim.fields()).encode())
        except StorageError as error:
            if outcome_is_unknown(error):
                self._exists()
            raise
        self._exists()

    def _exists(self) -> None:
        self._may_exist = True
        self._written()

    async def erase(self) -> None:
        self._kept.discard(self._key)  # from here on the next sweep erases it, should this fail
        if self._may_exist:
            await delete_object(self._store, self._key)


class BucketJournal:
    """The claims below one prefix of a bucket."""

    def __init__(self, store: S3Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._root = journal_prefix(store.options.prefix)
        self._instance = uuid.uuid4().hex
        self._interval = renewal_interval(store.options)
        self._own: set[str] = set()
        """Keys of the claims of this instance that are not erased."""
        self._no_claims: set[str] = set()
        """Keys of objects that are none, and were told of."""
        self._silence = Liveness()
        self._renewing: asyncio.Task[None] | None = None
        self._has_lease = False
        self._is_stopped = False
        self.description = f"s3://{store.options.bucket}/{self._root}"
        self._notice = FailureNotice(self.description)

    async def start(self) -> None:
        """Sends nothing: a bucket that is down does not keep the server from starting."""

    async def stop(self) -> None:
        """The lease goes at once; claims that are left are aborted by others when they are old enough."""
        self._is_stopped = True
        if self._renewing is not None:
            self._renewing.cancel()  # a store that does not answer holds up nobody for longer than it has to
            await asyncio.gather(self._renewing, return_exceptions=True)
        if self._has_lease:
            await self._erase_lease(self._instance)

    def record(self) -> ClaimRecord | None:
        if self._is_stopped:
            return None
        key = f"{self._root}{self._instance}/{uuid.uuid4().hex}.json"
        return BucketClaimRecord(self._store, key, self._own, self._keep_renewing, may_exist=False)

    async def others(self) -> list[UploadClaim]:
        found = await self._listing()
        keys = [key for instance, marks in found.items() if instance != self._instance for key, _, _ in marks]
        claims = [await self._read(key) for key in sorted(keys) if not key.endswith(_LEASE)]
        return [claim for claim in claims if claim is not None]

    @asynccontextmanager
    async def dead(self) -> AsyncIterator[list[tuple[ClaimRecord, UploadClaim]]]:
        """Leases of instances of which no claim is left are removed when the block ends."""
        try:
            asked = self._clock()
            found = await self._listing()
        except StorageError as error:
            self._silence = Liveness()  # while the store does not answer, nobody can give a sign of life
            self._notice.failed("journal.read_failed", error, _NOT_READABLE)
            yield []
            return
        silent = self._silence.of(found, asked, self._clock())
        silent.pop(self._instance, None)
        await self._erase_strays(found.get(self._instance, frozenset()))
        dead = await self._dead_of(found, silent)
        remaining = {key for claims in dead.values() for key in claims}
        yield [
            (BucketClaimRecord(self._store, key, remaining), claim)
            for claims in dead.values()
            for key, claim in claims.items()
            if claim is not None
        ]
        for instance, claims in dead.items():
            if not remaining & claims.keys():
                await self._erase_lease(instance)

    # ── signs of life ───────────────────────────────────────────────────────────────────────────────

    def _keep_renewing(self) -> None:
        if not self._is_stopped and (self._renewing is None or self._renewing.done()):
            # in a context of its own: it is no part of the transfer that happened to come first
            nobodys = contextvars.Context()
            self._renewing = asyncio.create_task(self._renew(), name="s3-journal-lease", context=nobodys)

    async def _renew(self) -> None:
        """Write the lease at every interval, as long as there are claims."""
        while self._own or self._has_lease:
            await asyncio.sleep(self._interval)
            if self._own:
                await self._write_lease()
            else:
                await self._erase_lease(self._instance)
                self._has_lease = False

    async def _write_lease(self) -> None:
        """What it says does not matter, as long as it is something new."""
        self._has_lease = True  # it may be there, whatever is answered
        try:
            await put_small(
                self._store, f"{self._root}{self._instance}/{_LEASE}", uuid.uuid4().hex.encode("ascii")
            )
        except StorageError as error:
            self._notice.failed("journal.lease_renewal_failed", error, _NOT_RENEWED)
        else:
            self._notice.worked("journal.lease_renewal_failed")

    async def _erase_lease(self, instance: str) -> None:
        try:
            await delete_object(self._store, f"{self._root}{instance}/{_LEASE}")
        except StorageError as error:  # the next sweep, or another janitor, finds it
            _log.info("journal.lease_erase_failed", error=str(error), detail=error.detail)

    # ── what others have written ────────────────────────────────────────────────────────────────────

    async def _listing(self) -> dict[str, frozenset[Mark]]:
        """The objects of each instance. Raises StorageError."""
        found: defaultdict[str, set[Mark]] = defaultdict(set)
        async with aclosing(pages(self._store, self._root, needed=("Size", "LastModified"))) as answers:
            async for answer in answers:
                for line in answer.get("Contents", ()):
                    if int(line["Size"]) > _MAX_CLAIM_BYTES:
                        continue  # no claim
                    if line.get("LastModified") is None:  # what seems never to change seems to be dead
                        raise StorageFailure(detail="the store does not tell when claims were written")
                    if match := _KEY.fullmatch(line["Key"].removeprefix(self._root)):
                        mark = (line["Key"], str(line.get("ETag", "")), str(line["LastModified"]))
                        found[match[1]].add(mark)
        self._no_claims &= {key for marks in found.values() for key, _, _ in marks}
        return {instance: frozenset(marks) for instance, marks in found.items()}

    async def _dead_of(
        self, found: dict[str, frozenset[Mark]], silent: dict[str, float]
    ) -> dict[str, dict[str, UploadClaim | None]]:
        """The instances that are dead, with their claims. One with a claim that cannot be read now is left
        for the next sweep, and holds up no other."""
        dead: dict[str, dict[str, UploadClaim | None]] = {}
        unreadable: StorageError | None = None
        for instance, seconds in silent.items():
            try:
                claims = await self._left_by(found[instance], seconds)
            except StorageError as error:
                unreadable = error
                continue
            if claims is not None:
                dead[instance] = claims
        if unreadable is None:
            self._notice.worked("journal.read_failed")
        else:
            self._notice.failed("journal.read_failed", unreadable, _NOT_READABLE)
        return dead

    async def _left_by(self, marks: frozenset[Mark], silent: float) -> dict[str, UploadClaim | None] | None:
        """The claims of an instance, None for one that cannot be read; nothing when it may be alive."""
        if silent < self._store.options.janitor_min_age.total_seconds():
            return None
        claims = {key: await self._read(key) for key, _, _ in sorted(marks) if not key.endswith(_LEASE)}
        intervals = [each.renewed_every or LONGEST_INTERVAL for each in claims.values() if each is not None]
        if silent < INTERVALS_OF_THE_DEAD * max(intervals, default=LONGEST_INTERVAL):
            return None
        return claims

    async def _read(self, key: str) -> UploadClaim | None:
        """A claim; None when it has ended, or is none. Raises StorageError when that is not known: what
        cannot be read now may be what names an upload."""
        try:
            answer = await self._store.call("GetObject", Key=key)
        except NotFound:
            return None  # ended meanwhile
        stall = self._store.options.stall_timeout.total_seconds()
        try:
            data = await read_all(response_body(answer), _MAX_CLAIM_BYTES, stall)
        except Exception as failure:  # a body that breaks has many names
            raise StorageFailure(
                detail=f"GetObject: {describe_unexpected(failure)} (key {key!r})"
            ) from failure
        try:
            claim = parse_claim(data)
            if not claim.key.startswith(self._store.options.prefix):
                raise ValueError("its key is outside the prefix")
        except ValueError as problem:  # it stays as it is
            if key not in self._no_claims:
                self._no_claims.add(key)
                _log.warning("journal.claim_unreadable", file=key, error=str(problem))
            return None
        return claim

    async def _erase_strays(self, marks: frozenset[Mark]) -> None:
        """Remove own claims that have ended, and a lease of none, although their objects are still there: an
        erasing failed, or was overtaken by a write whose answer was lost."""
        for key, _, _ in marks:
            is_needed = self._has_lease if key.endswith(_LEASE) else key in self._own
            if not is_needed:
                with suppress(StorageError):  # told when it failed for the first time
                    await delete_object(self._store, key)


async def put_small(store: S3Client, key: str, data: bytes, **conditions: Any) -> None:
    """Write a small object as every other object is written, except for the storage class: those for rarely
    read data charge for 128 KiB and 30 days. Raises StorageError."""
    fields = new_object(store.options, str(uuid.uuid4()), None)
    fields.pop("StorageClass", None)
    fields |= conditions
    await send_with_checksum(
        store, data, lambda proof: store.call("PutObject", Key=key, Body=RequestBody(data), **fields, **proof)
    )
