"""Lists what is kept, for an operator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from s3sftp.backends.s3.kept.kept_uploads import FoundRecord, S3KeptUploads
from s3sftp.backends.s3.kept.records import SUFFIX

_GIB: Final = 1 << 30
DOLLARS_FOR_GIB_AND_MONTH: Final = 0.023
"""S3 Standard in us-east-1."""


@dataclass(frozen=True, slots=True)
class SurveyedUpload:
    """One kept upload, or a running one, which has a record too."""

    found: FoundRecord
    size: int | None
    """The bytes that can be continued; None if nothing can."""

    @property
    def id(self) -> str:
        """What names it in commands."""
        return self.found.name.rpartition("/")[2].removesuffix(SUFFIX)

    @property
    def dollars_a_month(self) -> float:
        """What its bytes cost, at the price of S3 Standard."""
        return (self.size or 0) / _GIB * DOLLARS_FOR_GIB_AND_MONTH


async def surveyed_uploads(kept: S3KeptUploads) -> AsyncIterator[SurveyedUpload]:
    """Yield all uploads that have a record. Two or three requests each.

    Raises StorageError: if the store fails.
    """
    for name in await kept.names_of():
        found = await kept.read(name)
        if found is not None:
            start = await kept.start_of(found.record)
            yield SurveyedUpload(found, None if start is None else start.size)
