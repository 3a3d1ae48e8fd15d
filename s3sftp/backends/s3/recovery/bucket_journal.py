"""Stores the upload journal in the bucket, so that any replica can clean up after another. No replica needs a
disk.

    <prefix>.s3sftp/uploads/<instance>/<write>.json   one unfinished upload
    <prefix>.s3sftp/uploads/<instance>/lease          rewritten regularly while uploads are unfinished

An instance without unfinished uploads writes nothing. An instance with a long upload renews its lease at
every interval. An instance counts as dead if neither its lease nor any of its claims has changed for
`janitor_min_age`, and for many of its intervals, by the observer's own clock. If it wakes up after that, its
uploads are gone and their CLOSE fails: nothing becomes visible in part.

Two janitors that consider the same instance dead do the same work twice. That is safe, since aborting and
deleting are idempotent.
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
from s3sftp.backends.s3.credentials.user_scope import in_scope
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
from s3sftp.runtime.cancellation import cancel_and_wait
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")
LONGEST_INTERVAL: Final = 60.0
SHORTEST_INTERVAL: Final = 0.2
INTERVALS_OF_THE_DEAD: Final = 10
"""Missed renewals after which an instance may be dead."""
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
    """The prefix of the journal's keys."""
    return f"{reserved_prefix(prefix)}uploads/"


class BucketClaimRecord:
    """A claim in a small object."""

    def __init__(
        self,
        client: S3Client,
        key: str,
        kept: MutableSet[str],
        written: Callable[[], None] = lambda: None,
        *,
        may_exist: bool = True,
    ) -> None:
        """`kept` holds the keys of claims not erased; `written` is called when this one may exist."""
        self._client = client
        self._key = key
        self._kept = kept
        self._written = written
        self._may_exist = may_exist

    async def write(self, claim: UploadClaim) -> None:
        with in_scope(None):  # a user's session policy does not reach the journal
            await self._write(claim)

    async def _write(self, claim: UploadClaim) -> None:
        self._kept.add(self._key)  # before a listing can show it: a claim that is not kept is erased
        try:
            await put_small(self._client, self._key, json.dumps(claim.fields()).encode())
        except StorageError as error:
            if outcome_is_unknown(error):
                self._exists()
            raise
        self._exists()

    def _exists(self) -> None:
        self._may_exist = True
        self._written()

    async def erase(self) -> None:
        self._kept.discard(self._key)  # from here on, the next sweep erases it if this fails
        if self._may_exist:
            with in_scope(None):
                await delete_object(self._client, self._key)


class BucketJournal:
    """The claims below one prefix of a bucket."""

    def __init__(self, client: S3Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._root = journal_prefix(client.options.prefix)
        self._instance = uuid.uuid4().hex
        self._interval = renewal_interval(client.options)
        self._own: set[str] = set()
        """Keys of this instance's claims that are not erased."""
        self._no_claims: set[str] = set()
        """Keys of objects that are no claims and have been logged."""
        self._silence = Liveness()
        self._renewing: asyncio.Task[None] | None = None
        self._has_lease = False
        self._is_stopped = False
        self.description = f"s3://{client.options.bucket}/{self._root}"
        self._notice = FailureNotice(self.description)

    async def start(self) -> None:
        """Send nothing: a bucket that is down does not keep the server from starting."""

    async def stop(self) -> None:
        """Remove the lease at once. Other instances abort the remaining claims when they are old enough."""
        self._is_stopped = True
        await cancel_and_wait(self._renewing)  # a store that does not reply must not delay the stop
        if self._has_lease:
            await self._erase_lease(self._instance)

    def record(self) -> ClaimRecord | None:
        if self._is_stopped:
            return None
        key = f"{self._root}{self._instance}/{uuid.uuid4().hex}.json"
        return BucketClaimRecord(self._client, key, self._own, self._keep_renewing, may_exist=False)

    async def others(self) -> list[UploadClaim]:
        found = await self._listing()
        keys = [key for instance, marks in found.items() if instance != self._instance for key, _, _ in marks]
        claims = [await self._read(key) for key in sorted(keys) if not key.endswith(_LEASE)]
        return [claim for claim in claims if claim is not None]

    @asynccontextmanager
    async def dead(self) -> AsyncIterator[list[tuple[ClaimRecord, UploadClaim]]]:
        """Return the claims of dead instances.

        When the block ends, the leases of those without claims are removed.
        """
        try:
            asked = self._clock()
            found = await self._listing()
        except StorageError as error:
            self._silence = Liveness()  # no instance can give a sign of life while the store does not reply
            self._notice.failed("journal.read_failed", error, _NOT_READABLE)
            yield []
            return
        silent = self._silence.of(found, asked, self._clock())
        silent.pop(self._instance, None)
        await self._erase_strays(found.get(self._instance, frozenset()))
        dead = await self._dead_of(found, silent)
        remaining = {key for claims in dead.values() for key in claims}
        yield [
            (BucketClaimRecord(self._client, key, remaining), claim)
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
            # A context of its own: the task does not belong to the transfer that happened to start it.
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
        """Write a new lease. Its content only has to differ from the previous one."""
        self._has_lease = True  # it may exist, whatever the reply
        try:
            await put_small(
                self._client, f"{self._root}{self._instance}/{_LEASE}", uuid.uuid4().hex.encode("ascii")
            )
        except StorageError as error:
            self._notice.failed("journal.lease_renewal_failed", error, _NOT_RENEWED)
        else:
            self._notice.worked("journal.lease_renewal_failed")

    async def _erase_lease(self, instance: str) -> None:
        try:
            await delete_object(self._client, f"{self._root}{instance}/{_LEASE}")
        except StorageError as error:  # the next sweep, or another janitor, removes it
            _log.info("journal.lease_erase_failed", error=str(error), detail=error.detail)

    # ── what others have written ────────────────────────────────────────────────────────────────────

    async def _listing(self) -> dict[str, frozenset[Mark]]:
        """List the objects of each instance. Raises StorageError: if the store fails."""
        found: defaultdict[str, set[Mark]] = defaultdict(set)
        async with aclosing(pages(self._client, self._root, needed=("Size", "LastModified"))) as answers:
            async for answer in answers:
                for line in answer.get("Contents", ()):
                    if int(line["Size"]) > _MAX_CLAIM_BYTES:
                        continue  # too large for a claim
                    if line.get("LastModified") is None:  # its instance would look dead
                        raise StorageFailure(detail="the store does not tell when claims were written")
                    if match := _KEY.fullmatch(line["Key"].removeprefix(self._root)):
                        mark = (line["Key"], str(line.get("ETag", "")), str(line["LastModified"]))
                        found[match[1]].add(mark)
        self._no_claims &= {key for marks in found.values() for key, _, _ in marks}
        return {instance: frozenset(marks) for instance, marks in found.items()}

    async def _dead_of(
        self, found: dict[str, frozenset[Mark]], silent: dict[str, float]
    ) -> dict[str, dict[str, UploadClaim | None]]:
        """Return the dead instances with their claims. An instance with a claim that cannot be read now is
        left for the next sweep, without delaying the others."""
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
        """Return the claims of an instance, with None for each unreadable one.

        None if the instance may be alive.
        """
        if silent < self._client.options.janitor_min_age.total_seconds():
            return None
        claims = {key: await self._read(key) for key, _, _ in sorted(marks) if not key.endswith(_LEASE)}
        intervals = [each.renewed_every or LONGEST_INTERVAL for each in claims.values() if each is not None]
        if silent < INTERVALS_OF_THE_DEAD * max(intervals, default=LONGEST_INTERVAL):
            return None
        return claims

    async def _read(self, key: str) -> UploadClaim | None:
        """Read a claim. None if it has ended, or is no claim.

        Raises StorageError: if that is unknown, because an object that cannot be read now may name an upload.
        """
        try:
            answer = await self._client.call("GetObject", Key=key)
        except NotFound:
            return None  # the upload has ended meanwhile
        stall = self._client.options.stall_timeout.total_seconds()
        try:
            data = await read_all(response_body(answer), _MAX_CLAIM_BYTES, stall)
        except Exception as failure:  # a body can break with many exceptions
            raise StorageFailure(
                detail=f"GetObject: {describe_unexpected(failure)} (key {key!r})"
            ) from failure
        try:
            claim = parse_claim(data)
            if not claim.key.startswith(self._client.options.prefix):
                raise ValueError("its key is outside the prefix")
        except ValueError as problem:  # the object is left as it is
            if key not in self._no_claims:
                self._no_claims.add(key)
                _log.warning("journal.claim_unreadable", file=key, error=str(problem))
            return None
        return claim

    async def _erase_strays(self, marks: frozenset[Mark]) -> None:
        """Remove our own claims that have ended, and a lease that is not needed, if their objects still
        exist: an erase failed, or was overtaken by a write whose reply was lost."""
        for key, _, _ in marks:
            is_needed = self._has_lease if key.endswith(_LEASE) else key in self._own
            if not is_needed:
                with suppress(StorageError):  # the first failure was logged
                    await delete_object(self._client, key)


async def put_small(client: S3Client, key: str, data: bytes, **conditions: Any) -> None:
    """Write a small object with the options of every other object, except for the storage class: classes for
    rarely read data charge for at least 128 KiB and 30 days.

    Raises StorageError: if the store fails.
    """
    fields = new_object(client.options, str(uuid.uuid4()), None)
    fields.pop("StorageClass", None)
    fields |= conditions
    await send_with_checksum(
        client,
        data,
        lambda proof: client.call("PutObject", Key=key, Body=RequestBody(data), **fields, **proof),
    )
