"""Identifies our uploads whose ids are unknown, because the replies to their creation were lost.

S3 lists unfinished uploads by key and time, without their metadata. Ours are those that

    began          while this server requested an upload of that key, by the store's clock
    have no part   since a part can be sent only with the id
    have no name   in any claim, of running instances or of those that are gone

as long as there are no more of them than requests without a reply. If there are more, some belong to others,
and none is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from s3sftp.backends.s3.client import S3Client
from s3sftp.backends.s3.errors import has_code, has_status
from s3sftp.backends.s3.features import Feature
from s3sftp.backends.s3.metadata.objects import Fields
from s3sftp.backends.s3.recovery.upload_journal import UploadClaim
from s3sftp.errors import StorageError, StorageFailure

EARLIER, LATER = 60.0, 120.0
"""Seconds before and after the requests, by the store's clock, in which the uploads must have begun. They
allow for differing clocks."""
_NEXT: Final = {"NextKeyMarker": "KeyMarker", "NextUploadIdMarker": "UploadIdMarker"}


@dataclass(frozen=True, slots=True)
class ListedUpload:
    """An unfinished upload, as the store lists it."""

    upload_id: str
    began: datetime

    def fits(self, claim: UploadClaim) -> bool:
        """Whether it began when this claim's requests were sent."""
        earliest = datetime.fromtimestamp(claim.claimed_at - EARLIER, UTC)
        latest = datetime.fromtimestamp((claim.asked_until or claim.claimed_at) + LATER, UTC)
        return earliest <= self.began <= latest


async def uploads_of(client: S3Client, key: str) -> list[ListedUpload]:
    """List all unfinished uploads of exactly this key. Raises StorageError: if the store fails."""
    directory = key.rpartition("/")[0] + "/" if "/" in key else ""
    if not client.features.has(Feature.ANY_PREFIX):
        return await _uploads_of(client, key, directory)
    try:
        return await _uploads_of(client, key, key)
    except StorageError as error:
        if not has_status(error, 400, 501):
            raise
        try:
            found = await _uploads_of(client, key, directory)
        except StorageError:
            raise error from error.__cause__
        client.features.lacks(Feature.ANY_PREFIX, error.detail)
        return found


async def _uploads_of(client: S3Client, key: str, prefix: str) -> list[ListedUpload]:
    found: list[ListedUpload] = []
    after: Fields = {}
    while True:
        answer = await client.call("ListMultipartUploads", Prefix=prefix, **after)
        uploads: Sequence[Any] = answer.get("Uploads", ())
        # an upload of unknown age may be anyone's
        named = [each for each in uploads if each.get("Key") == key and "Initiated" in each]
        found += [ListedUpload(each["UploadId"], each["Initiated"]) for each in named]
        following = {asked: answer[said] for said, asked in _NEXT.items() if answer.get(said)}
        if not answer.get("IsTruncated"):
            return found
        if following == after:  # some would be missing, and uploads of others would be taken for ours
            raise StorageFailure("storage repeats its listing", detail=f"of uploads of {key!r}")
        after = following


async def own_uploads(
    client: S3Client, key: str, unknown: Sequence[ListedUpload], claims: Sequence[UploadClaim]
) -> list[ListedUpload]:
    """Return the uploads that the claims account for; none if they cannot be distinguished from those of
    others. `unknown` are the uploads of the key that no claim names.

    Raises StorageError: if the store fails.
    """
    fitting = [upload for upload in unknown if any(upload.fits(claim) for claim in claims)]
    ours = [upload for upload in fitting if not await _has_parts(client, key, upload)]
    return ours if len(ours) <= sum(claim.requests for claim in claims) else []


async def _has_parts(client: S3Client, key: str, upload: ListedUpload) -> bool:
    """Whether someone knows its id. An upload that has ended meanwhile counts as known too."""
    try:
        answer = await client.call("ListParts", Key=key, UploadId=upload.upload_id, MaxParts=1)
    except StorageError as error:
        if has_code(error, "NoSuchUpload") or has_status(error, 404):
            return True
        raise
    return bool(answer.get("Parts"))
