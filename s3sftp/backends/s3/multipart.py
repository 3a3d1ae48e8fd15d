"""A multipart upload: create, parts, complete; or abort.

    take 1 ─► upload 1 ─┐
    take 2 ─► upload 2 ─┼─► complete ─► the object is visible, whole
    take 3 ─► copy 3   ─┘
          (first: create)   abort     ─► nothing is left

The upload is created with the first part. Each step is a task of this object, so that `abort` can stop and
await them whoever has lost interest; a create is never stopped half-way, it is what would leave an upload
that nobody knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from s3sftp.backends.contract import Buffer
from s3sftp.backends.s3.bodies import MemoryBody
from s3sftp.backends.s3.checksums import crc_of_parts, crc_of_text, crc_text, digest
from s3sftp.backends.s3.client import Answer, Store
from s3sftp.backends.s3.failures import has_code, has_status, is_condition_refusal
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.objects import Fields, time_of
from s3sftp.backends.s3.ownership import Entry, Journal
from s3sftp.backends.s3.parts import MAX_PARTS
from s3sftp.backends.s3.publishing import Published, publish
from s3sftp.backends.s3.retries import Effort
from s3sftp.errors import Changed, InvalidRequest, StorageError, StorageFailure
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")
_MANY_PARTS = 500
"""From this many on, joining their checksums would hold up the event loop."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part that the store has."""

    size: int
    fields: dict[str, str]
    """What Complete wants to hear about it: ETag and checksum."""
    crc: int | None


class Multipart:
    """One multipart upload. Nothing is sent before the first part."""

    def __init__(self, store: Store, journal: Journal, key: str, fields: Fields) -> None:
        self._store = store
        self._journal = journal
        self._key = key
        self._fields = fields
        self._algorithm = store.options.checksum
        self._parts: dict[int, Part] = {}
        self._taken = 0
        self._entry: Entry | None = None
        self._upload_id: str | None = None
        self._created_at: float | None = None
        self._creating: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._aborting: asyncio.Task[None] | None = None
        self._forgetting: asyncio.Task[None] | None = None
        self._closed = False
        self.completed = False

    @property
    def taken(self) -> int:
        """Parts that have a position."""
        return self._taken

    @property
    def size(self) -> int:
        """Bytes of the parts that the store has."""
        return sum(part.size for part in self._parts.values())

    def take(self) -> int:
        """The position of the next part. Raises InvalidRequest after the last one that S3 allows."""
        if self._closed:
            raise StorageFailure("the upload has ended")
        if self._taken >= MAX_PARTS:
            raise InvalidRequest("file too large", detail=f"more than {MAX_PARTS} parts")
        self._taken += 1
        return self._taken

    async def upload(self, number: int, data: Buffer) -> None:
        """Send a part's bytes."""
        await self._run(self._upload(number, data))

    async def copy(self, number: int, source: str, version: str | None, start: int, stop: int) -> None:
        """Have the store copy a part from `[start, stop)` of another object. Raises Changed, NotFound."""
        await self._run(self._copy(number, source, version, start, stop))

    async def complete(self, ours: Callable[[Answer], bool], **conditions: str) -> Published:
        """Join the parts into the object. Returns as soon as the store has confirmed it, without waiting for
        the journal (`forgotten`). Raises as `publish`."""
        parts = [self._parts[number] for number in sorted(self._parts)]
        size = sum(part.size for part in parts)
        published = await publish(
            self._store,
            "CompleteMultipartUpload",
            self._key,
            ours,
            effort=Effort.JOIN,
            moved_bytes=size,
            UploadId=self._upload_id,
            MultipartUpload={"Parts": [part.fields for part in parts]},
            **await self._proof(parts, size),
            **conditions,
        )
        self._closed = self.completed = True
        if self._entry is not None:
            self._forgetting = self._store.go_on(self._entry.done())
        # S3 dates the object by its creation, not its completion
        return Published(published.version, self._created_at or published.moment)

    async def forgotten(self) -> None:
        """Wait until the journal knows that the upload is completed."""
        if self._forgetting is not None:
            await asyncio.shield(self._forgetting)

    async def abort(self) -> None:
        """Throw the upload away, when it is not completed. Goes on when the caller is cancelled; may be
        called again; never raises StorageError: what could not be aborted stays in the journal."""
        self._closed = True
        if self.completed:
            return
        if self._aborting is None:
            self._aborting = self._store.go_on(self._abort())
        await asyncio.shield(self._aborting)

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        """Await work as a task that `abort` can stop."""
        if self._closed:
            work.close()
            raise StorageFailure("the upload has ended")
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if self._has_ended() and current is not None and not current.cancelling():
                raise StorageFailure("the upload was aborted") from None
            raise

    def _has_ended(self) -> bool:
        return self._closed

    async def _upload(self, number: int, data: Buffer) -> None:
        proof = await digest(data, self._algorithm)
        await self._created()
        answer = await self._store.call(
            "UploadPart",
            effort=Effort.DATA,
            moved_bytes=len(data),
            Key=self._key,
            UploadId=self._upload_id,
            PartNumber=number,
            Body=MemoryBody(data),
            **proof.fields,
        )
        said = crc_of_text(answer.get("ChecksumCRC32"))
        if None not in (said, proof.crc) and said != proof.crc:
            raise StorageFailure("storage damaged the data", detail=f"part {number}: another CRC than sent")
        self._keep(number, len(data), answer, proof.crc, proof.fields)

    async def _copy(self, number: int, source: str, version: str | None, start: int, stop: int) -> None:
        await self._created()
        features = self._store.features
        matched = version is not None and features.has(Feature.MATCHED_COPIES)
        try:
            answer = await self._copied(number, source, version if matched else None, start, stop)
        except StorageError as error:
            if has_status(error, 412, 416):
                raise Changed(detail=error.detail) from error
            if not matched or not is_condition_refusal(error):
                raise
            answer = await features.do_without(
                Feature.MATCHED_COPIES, error, self._copied(number, source, None, start, stop)
            )
        result = answer["CopyPartResult"]
        said = {name: result[name] for name in ("ChecksumCRC32", "ChecksumSHA256") if name in result}
        self._keep(number, stop - start, result, crc_of_text(said.get("ChecksumCRC32")), said)

    async def _copied(self, number: int, source: str, version: str | None, start: int, stop: int) -> Answer:
        condition: Fields = {} if version is None else {"CopySourceIfMatch": version}
        return await self._store.call(
            "UploadPartCopy",
            effort=Effort.JOIN,
            moved_bytes=stop - start,
            Key=self._key,
            UploadId=self._upload_id,
            PartNumber=number,
            CopySource={"Bucket": self._store.options.bucket, "Key": source},
            CopySourceRange=f"bytes={start}-{stop - 1}",
            **condition,
        )

    def _keep(self, number: int, size: int, answer: Answer, crc: int | None, proof: dict[str, str]) -> None:
        fields: dict[str, Any] = {"PartNumber": number, "ETag": answer["ETag"]}
        fields |= {name: text for name, text in proof.items() if name.startswith("Checksum")}
        self._parts[number] = Part(size, fields, crc)

    async def _created(self) -> None:
        if self._creating is None:
            self._creating = self._store.go_on(self._create())
        await asyncio.shield(self._creating)

    async def _create(self) -> None:
        """An attempt whose answer was lost may have created an upload; so each is counted in the journal."""
        self._entry = entry = await self._journal.claim(self._key)
        lost = 0

        async def count_lost() -> None:
            nonlocal lost
            lost += 1
            await entry.unanswered(lost + 1)  # the next one is about to be sent

        try:
            answer = await self._store.call(
                "CreateMultipartUpload",
                on_unknown=count_lost,
                Key=self._key,
                **self._fields,
                **self._checksum_fields(),
            )
        except StorageError:
            if lost:
                await entry.unanswered(lost)
            else:
                self._entry = None
                await entry.done()
            raise
        if lost:
            at = entry.claim.claimed_at
            self._journal.abandon(await self._journal.claim(self._key, at=at, requests=lost))
        self._upload_id = answer["UploadId"]
        self._created_at = time_of(answer)
        await entry.named(answer["UploadId"])

    def _checksum_fields(self) -> Fields:
        match self._algorithm:
            case "crc32":
                return {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}
            case "sha256":
                return {"ChecksumAlgorithm": "SHA256"}
            case _:
                return {}

    async def _proof(self, parts: list[Part], size: int) -> Fields:
        """What Complete proves the whole by. A copied part whose CRC was not told leaves it to the sizes."""
        if self._algorithm not in ("crc32", "sha256"):
            return {}
        fields: Fields = {"MpuObjectSize": size}
        crcs = [(part.crc, part.size) for part in parts if part.crc is not None]
        if self._algorithm == "crc32":
            fields["ChecksumType"] = "FULL_OBJECT"
            if len(crcs) == len(parts):
                many = len(parts) > _MANY_PARTS
                crc = await asyncio.to_thread(crc_of_parts, crcs) if many else crc_of_parts(crcs)
                fields["ChecksumCRC32"] = crc_text(crc)
        return fields

    async def _abort(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        if self._creating is None:
            return
        await asyncio.gather(self._creating, return_exceptions=True)
        if self._entry is None:
            return
        if self._upload_id is not None and await abort_upload(self._store, self._key, self._upload_id):
            await self._entry.done()
        else:
            self._journal.abandon(self._entry)


async def abort_upload(store: Store, key: str, upload_id: str) -> bool:
    """Abort an upload; whether it is gone. One that was gone before is gone."""
    try:
        await store.call("AbortMultipartUpload", Key=key, UploadId=upload_id)
    except StorageError as error:
        if not has_code(error, "NoSuchUpload") and not has_status(error, 404):
            _log.warning("s3_abort_failed", error=str(error), detail=error.detail)
            return False
    return True
