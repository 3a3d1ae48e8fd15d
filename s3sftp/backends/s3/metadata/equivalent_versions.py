"""Versions of an object that differ in their metadata alone.

A late time, or late permissions, are a copy of the object onto itself. That gives the object another ETag
where it was uploaded in parts, or is encrypted with a key of KMS. Whoever reads it meanwhile insists on the
ETag of before, so the copy says in its own metadata which ones it had:

    s3sftp-formerly: "9b2cf5…-8"        the same content had this ETag when it was copied

The copy is made with CopySourceIfMatch, so that is true in every process and replica. Where a store may
ignore that, nothing is said, and a reader's download ends with the late time.
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
    """The versions that the same content had before, out of the answer to HEAD or GET."""
    return tuple(answer.get("Metadata", {}).get(FORMERLY_METADATA, "").split())


def has_former(metadata: Mapping[str, str]) -> bool:
    """Whether metadata says which versions the content had before."""
    return FORMERLY_METADATA in metadata


def with_former(
    metadata: dict[str, str], head: Mapping[str, Any], *, digests_stay: bool = True
) -> dict[str, str]:
    """The metadata of a copy of the object that `head` describes onto itself. That of an object whose ETag is
    the digest of its content, and stays, is as it was; some stores give it a new one nevertheless."""
    version = version_of(head)
    is_digest = _DIGEST.fullmatch(version or "") and head.get("ServerSideEncryption") not in _KMS
    stays = is_digest and digests_stay
    if version is None or stays:
        return metadata
    return {**metadata, FORMERLY_METADATA: formerly(head)}


def formerly(head: Mapping[str, Any]) -> str:
    """The versions of an object, this one included, for the metadata of a copy."""
    version = version_of(head)
    kept = [each for each in former_versions(head) if each != version][-_MOST_FORMER + 1 :]
    return " ".join([*kept, *([version] if version else [])])


class EquivalentVersions:
    """What is known of them: the version that took the place of another."""

    def __init__(self) -> None:
        self._latest: OrderedDict[tuple[str, str], str] = OrderedDict()

    def note(self, key: str, old: str | None, new: str | None) -> None:
        """The object has another version now, and the same content."""
        if old is None or new is None or old == new:
            return
        self._latest[key, old] = new
        self._latest.move_to_end((key, old))
        while len(self._latest) > _MOST_REMEMBERED:
            self._latest.popitem(last=False)

    def latest(self, key: str, version: str | None) -> str | None:
        """The version to ask for instead of this one."""
        return None if version is None else self._latest.get((key, version), version)
