"""Tracks versions of an object that have the same content and differ only in metadata.

Late attributes are applied by copying the object onto itself. The copy gets another ETag if the object was
uploaded in parts or is encrypted with a KMS key. A reader that has opened the object before insists on the
former ETag, so the copy lists its former ETags in its metadata:

    s3sftp-formerly: "9b2cf5…-8"        the same content had this ETag when it was copied

The copy is made with CopySourceIfMatch, so the list is true in every process and replica. If a store may
ignore that condition, the list is not written, and a reader's download ends when late attributes are applied.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from s3sftp.backends.s3.metadata.objects import version_of
from s3sftp.backends.s3.options import FORMERLY_METADATA

_MOST_FORMER = 8
_MOST_REMEMBERED = 1000
_DIGEST = re.compile(r'"[0-9a-f]{32}"')
_KMS = ("aws:kms", "aws:kms:dsse")


def former_versions(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the former versions of the same content, from a reply to HEAD or GET."""
    return tuple(answer.get("Metadata", {}).get(FORMERLY_METADATA, "").split())


def has_former(metadata: Mapping[str, str]) -> bool:
    """Whether metadata lists former versions of the content."""
    return FORMERLY_METADATA in metadata


def with_former(
    metadata: dict[str, str], head: Mapping[str, Any], *, digests_stay: bool = True
) -> dict[str, str]:
    """Return the metadata for a copy of the object that `head` describes onto itself.

    It is unchanged if the ETag is the digest of the content and stays; `digests_stay` is false for a store
    that gives such an object a new ETag nevertheless.
    """
    version = version_of(head)
    is_digest = _DIGEST.fullmatch(version or "") and head.get("ServerSideEncryption") not in _KMS
    stays = is_digest and digests_stay
    if version is None or stays:
        return metadata
    return {**metadata, FORMERLY_METADATA: formerly(head)}


def formerly(head: Mapping[str, Any]) -> str:
    """The versions of an object, including the present one, as text for the metadata of a copy."""
    version = version_of(head)
    kept = [each for each in former_versions(head) if each != version][-_MOST_FORMER + 1 :]
    return " ".join([*kept, *([version] if version else [])])


class EquivalentVersions:
    """Remembers in memory which version has replaced which."""

    def __init__(self) -> None:
        self._latest: OrderedDict[tuple[str, str], str] = OrderedDict()

    def note(self, key: str, old: str | None, new: str | None) -> None:
        """Record that the object has a new version with the same content."""
        if old is None or new is None or old == new:
            return
        self._latest[key, old] = new
        self._latest.move_to_end((key, old))
        while len(self._latest) > _MOST_REMEMBERED:
            self._latest.popitem(last=False)

    def latest(self, key: str, version: str | None) -> str | None:
        """Return the version to request instead of this one."""
        return None if version is None else self._latest.get((key, version), version)
