"""What this store lacks, and what is lost with it: one table for all operations.

A row is learned from the option `s3.lacks`, from the first answer that shows it, or by `s3sftp check`. From
then on every operation takes the other way, and the log says once what that costs.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Iterable, Mapping
from enum import StrEnum
from typing import Final, TypeVar
from urllib.parse import urlsplit

from s3sftp.errors import AlreadyExists, Changed, NotFound, StorageError
from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")
_Result = TypeVar("_Result")


class Feature(StrEnum):
    """What AWS S3 has, and another store may lack. The values are those of the option `s3.lacks`."""

    CONDITIONAL_WRITES = "conditional-writes"
    """If-None-Match and If-Match on PutObject and CompleteMultipartUpload."""
    CONDITIONAL_COPIES = "conditional-copies"
    """If-None-Match on CopyObject: a copy that refuses to replace its target."""
    MATCHED_COPIES = "matched-copies"
    """x-amz-copy-source-if-match on CopyObject and UploadPartCopy: a copy of one version."""
    CONDITIONAL_DELETES = "conditional-deletes"
    """If-Match on DeleteObject."""
    MATCHED_READS = "matched-reads"
    """If-Match on GetObject."""
    BATCH_DELETES = "batch-deletes"
    """DeleteObjects."""
    CHECKSUMS = "checksums"
    """The x-amz-checksum-… headers of 2022, and x-amz-sdk-checksum-algorithm."""
    WHOLE_CHECKSUMS = "whole-checksums"
    """ChecksumType FULL_OBJECT of a multipart upload."""
    COPIED_PART_CHECKSUMS = "copied-part-checksums"
    """UploadPartCopy in an upload that was created with a checksum algorithm."""
    UNEQUAL_PARTS = "unequal-parts"
    """Parts of different sizes in one multipart upload."""
    ANY_PREFIX = "any-prefix"
    """ListObjectsV2 with a prefix that does not end in a slash."""
    LIST_V2 = "list-v2"
    """ListObjectsV2; without it ListObjects, which is older."""
    TAGS = "tags"
    """Tags of objects."""


CONSEQUENCES: Final[Mapping[Feature, str]] = {
    Feature.CONDITIONAL_WRITES: "two clients that create the same name at the same moment may both succeed",
    Feature.CONDITIONAL_COPIES: "a rename that must not replace its target costs more requests",
    Feature.MATCHED_COPIES: "a file that is replaced while it is copied is noticed by looking again",
    Feature.CONDITIONAL_DELETES: "a file that is replaced in the moment before its removal may be removed",
    Feature.MATCHED_READS: "a file that is replaced while it is read is noticed by the ETags of the answers",
    Feature.BATCH_DELETES: "removing a tree costs one request for each file",
    Feature.CHECKSUMS: "requests with data prove their bytes by MD5",
    Feature.WHOLE_CHECKSUMS: "large files are proven part by part, not as a whole",
    Feature.COPIED_PART_CHECKSUMS: "files of which a part is copied are proven by their size and sent parts",
    Feature.UNEQUAL_PARTS: "large files are limited to 10 000 parts of s3.part_bytes",
    Feature.ANY_PREFIX: "a directory costs another request to be found",
    Feature.LIST_V2: "listings use the older request",
    Feature.TAGS: "s3.tags are not written, and copies lose their tags",
}
"""What an operator is told of each."""

_KNOWN: Final[tuple[tuple[re.Pattern[str], tuple[Feature, ...]], ...]] = (
    (re.compile(r"SeaweedFS \S+ ([4-9]|\d\d+)\."), ()),
    (re.compile(r"MinIO"), (Feature.CONDITIONAL_COPIES, Feature.CONDITIONAL_DELETES)),
    (re.compile(r"Werkzeug/"), (Feature.CONDITIONAL_COPIES, Feature.MATCHED_COPIES)),  # moto
)
"""Stores by what they call themselves, and the conditions that each of them ignores without a word."""
CONDITIONS: Final = (
    Feature.CONDITIONAL_WRITES,
    Feature.CONDITIONAL_COPIES,
    Feature.MATCHED_COPIES,
    Feature.CONDITIONAL_DELETES,
)
"""Of requests that change something. A store that ignores one does what should not have been done."""
_MISSING: Final = 1
_SEEN: Final = 2
_ROW: Final = {feature: row for row, feature in enumerate(Feature)}
ROWS: Final = len(_ROW)

_AMAZON: Final = (".amazonaws.com", ".amazonaws.com.cn")
_AT: Final[Mapping[str, tuple[Feature, ...]]] = {".r2.cloudflarestorage.com": (Feature.UNEQUAL_PARTS,)}
"""What is known of stores by the ends of their host names, because the first upload would fail for it."""


class Features:
    """What is known of one store. `table` is shared by the workers of a server, so one finds out for all."""

    def __init__(self, lacking: Iterable[Feature] = (), table: SharedCounters | None = None) -> None:
        self._told = frozenset(lacking)
        table = table if table is not None else SharedCounters.alone(ROWS)
        self._numbers = table.numbers
        self._columns = table.columns
        self.is_recognised = False
        """Whether it is known by the store's name which conditions it ignores."""
        self.is_aws = False
        """Whether it is Amazon's own, which has them all; not known before there is a client."""
        for feature in self._told:
            self._numbers[_ROW[feature] * self._columns] = _MISSING

    def is_at(self, endpoint_url: str) -> None:
        """Note what is known of the store at an address."""
        host = urlsplit(endpoint_url).hostname or ""
        self.is_aws = host.endswith(_AMAZON)
        for end, lacking in _AT.items():
            for feature in lacking if host.endswith(end) else ():
                self.lacks(feature, "the endpoint's address")

    def recognise(self, server: str) -> None:
        """Note what a store that calls itself so ignores."""
        for name, ignored in _KNOWN:
            if name.match(server):
                self.is_recognised = True
                for feature in ignored:
                    self.lacks(feature, f"{server} ignores it")

    def has(self, feature: Feature) -> bool:
        """Whether the store is believed to have it."""
        return self._numbers[_ROW[feature] * self._columns] != _MISSING

    def is_certain(self, feature: Feature) -> bool:
        """Whether that was seen or told: a condition may be ignored, and no answer says so."""
        return self._numbers[_ROW[feature] * self._columns] != 0

    def seen(self, feature: Feature) -> None:
        """Note that the store has it: a condition that could not be met was refused."""
        if self.has(feature):
            self._numbers[_ROW[feature] * self._columns] = _SEEN

    def surely_has(self, feature: Feature) -> bool:
        """Whether the store was seen to have it, or is AWS and not known to lack it."""
        number = self._numbers[_ROW[feature] * self._columns]
        return number == _SEEN or (self.is_aws and number != _MISSING)

    def lacks(self, feature: Feature, shown_by: object = "") -> None:
        """Note what an answer of the store has shown; the log says so once."""
        if not self.has(feature):
            return
        self._numbers[_ROW[feature] * self._columns] = _MISSING
        _log.warning(
            "s3.feature_missing",
            feature=str(feature),
            lost=CONSEQUENCES[feature],
            advice=f'set s3.lacks = ["{feature}"] so that the server knows it from the start',
            shown_by=str(shown_by),
        )

    async def do_without(
        self, feature: Feature, refused: StorageError, other_way: Awaitable[_Result]
    ) -> _Result:
        """Go the other way after a refusal; its success shows that the store lacks the feature. Where that
        fails too, nothing is shown, and what was refused at first is the failure, unless the other way may
        have been carried out."""
        try:
            result = await other_way
        except (AlreadyExists, Changed, NotFound):
            raise
        except StorageError as error:
            # the cause is a Trouble of `failures`, which imports this module
            if getattr(error.__cause__, "is_outcome", False):
                raise
            raise refused  # noqa: B904  # its cause is the answer of the store
        self.lacks(feature, refused.detail)
        return result

    @property
    def missing(self) -> tuple[Feature, ...]:
        """All that the store is known to lack."""
        return tuple(feature for feature in Feature if not self.has(feature))
