"""Remembers which S3 features the store lacks, and what each missing feature costs.

One table serves all operations. The server learns a row from the option `s3.lacks`, from the first reply that
shows it, or in `s3sftp check`. From then on every operation takes its fallback, and one log line names the
consequence.
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
    """A feature of AWS S3 that another store may lack. The values are those of the option `s3.lacks`."""

    CONDITIONAL_WRITES = "conditional-writes"
    """If-None-Match and If-Match on PutObject and CompleteMultipartUpload."""
    CONDITIONAL_COPIES = "conditional-copies"
    """If-None-Match on CopyObject: a copy that does not replace its target."""
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
    """ListObjectsV2; the fallback is the older ListObjects."""
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
"""The consequence of each missing feature, as the operator reads it."""

_KNOWN: Final[tuple[tuple[re.Pattern[str], tuple[Feature, ...]], ...]] = (
    (re.compile(r"SeaweedFS \S+ ([4-9]|\d\d+)\."), ()),
    (re.compile(r"MinIO"), (Feature.CONDITIONAL_COPIES, Feature.CONDITIONAL_DELETES)),
    (re.compile(r"Werkzeug/"), (Feature.CONDITIONAL_COPIES, Feature.MATCHED_COPIES)),  # moto
)
"""Stores by their Server header, with the conditions that each ignores silently."""
CONDITIONS: Final = (
    Feature.CONDITIONAL_WRITES,
    Feature.CONDITIONAL_COPIES,
    Feature.MATCHED_COPIES,
    Feature.CONDITIONAL_DELETES,
)
"""Conditions of requests that change something. Ignoring one makes a change that should be refused."""
_MISSING: Final = 1
_SEEN: Final = 2
_ROW: Final = {feature: row for row, feature in enumerate(Feature)}
ROWS: Final = len(_ROW)

_AMAZON: Final = (".amazonaws.com", ".amazonaws.com.cn")
_AT: Final[Mapping[str, tuple[Feature, ...]]] = {".r2.cloudflarestorage.com": (Feature.UNEQUAL_PARTS,)}
"""Features that stores lack, by suffix of the host name, because otherwise the first upload would fail."""


class Features:
    """What is known about the features of one store.

    The workers of a server share `table`, so one finds out for all.
    """

    def __init__(self, lacking: Iterable[Feature] = (), table: SharedCounters | None = None) -> None:
        self._told = frozenset(lacking)
        table = table if table is not None else SharedCounters.alone(ROWS)
        self._numbers = table.numbers
        self._columns = table.columns
        self.is_recognised = False
        """Whether the store's name tells which conditions it ignores."""
        self.is_aws = False
        """Whether the store is AWS, which has all features; unknown until a client exists."""
        for feature in self._told:
            self._numbers[_ROW[feature] * self._columns] = _MISSING

    def is_at(self, endpoint_url: str) -> None:
        """Record what is known about the store at this address."""
        host = urlsplit(endpoint_url).hostname or ""
        self.is_aws = host.endswith(_AMAZON)
        for end, lacking in _AT.items():
            for feature in lacking if host.endswith(end) else ():
                self.lacks(feature, "the endpoint's address")

    def recognise(self, server: str) -> None:
        """Record which conditions the store with this Server header ignores."""
        for name, ignored in _KNOWN:
            if name.match(server):
                self.is_recognised = True
                for feature in ignored:
                    self.lacks(feature, f"{server} ignores it")

    def has(self, feature: Feature) -> bool:
        """Whether the store is assumed to have the feature."""
        return self._numbers[_ROW[feature] * self._columns] != _MISSING

    def is_certain(self, feature: Feature) -> bool:
        """Whether the row is configured or was observed.

        A store may ignore a condition without any reply that shows it.
        """
        return self._numbers[_ROW[feature] * self._columns] != 0

    def seen(self, feature: Feature) -> None:
        """Record that the store has the feature: it refused a condition that did not hold."""
        if self.has(feature):
            self._numbers[_ROW[feature] * self._columns] = _SEEN

    def surely_has(self, feature: Feature) -> bool:
        """Whether the store was observed to have the feature, or is AWS and not known to lack it."""
        number = self._numbers[_ROW[feature] * self._columns]
        return number == _SEEN or (self.is_aws and number != _MISSING)

    def lacks(self, feature: Feature, shown_by: object = "") -> None:
        """Record that the store lacks the feature. Only the first call logs it."""
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
        """Await the fallback after a refusal. If it succeeds, the store lacks the feature.

        If the fallback fails too, nothing is learned and the original refusal is raised, unless the store may
        have executed the fallback: then the fallback's error is raised.
        """
        try:
            result = await other_way
        except (AlreadyExists, Changed, NotFound):
            raise
        except StorageError as error:
            # The cause is a RequestError of `errors`, which imports this module.
            if getattr(error.__cause__, "is_outcome", False):
                raise
            raise refused  # noqa: B904 # its cause is the store's reply
        self.lacks(feature, refused.detail)
        return result

    @property
    def missing(self) -> tuple[Feature, ...]:
        """All features that the store is known to lack."""
        return tuple(feature for feature in Feature if not self.has(feature))
