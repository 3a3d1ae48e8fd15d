"""Lists what is kept, for an operator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from s3sftp.backends.kept_uploads import SurveyedUpload
from s3sftp.backends.s3.kept.kept_uploads import S3KeptUploads
from s3sftp.backends.s3.kept.record_store import FoundRecord
from s3sftp.backends.s3.kept.records import SUFFIX

_GIB: Final = 1 << 30
DOLLARS_FOR_GIB_AND_MONTH: Final = 0.023
"""S3 Standard in us-east-1."""


class S3KeptSurvey:
    """The kept uploads in a bucket. Two or three requests each."""

    def __init__(self, kept: S3KeptUploads) -> None:
        self._kept = kept

    async def uploads(self) -> AsyncIterator[SurveyedUpload]:
        async for found in self._found():
            record = found.record
            start = await self._kept.stored.start_of(record)
            size = None if start is None else start.size
            yield SurveyedUpload(
                _id_of(found),
                record.state,
                record.user,
                record.key,
                size,
                (size or 0) / _GIB * DOLLARS_FOR_GIB_AND_MONTH,
                record.began_at,
                record.written_at,
                record.upload_id,
                record.tail_bytes,
            )

    async def abort(self, upload_id: str) -> bool:
        async for found in self._found():
            if _id_of(found) == upload_id:
                return await self._kept.remove(found)
        return False

    async def _found(self) -> AsyncIterator[FoundRecord]:
        for name in await self._kept.records.names_of():
            found = await self._kept.records.read(name)
            if found is not None:
                yield found


def _id_of(found: FoundRecord) -> str:
    return found.name.rpartition("/")[2].removesuffix(SUFFIX)
