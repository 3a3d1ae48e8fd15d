"""What each store lacks, by capability, and what that means. The tests hold both to it.

A test that needs a capability says so (`@pytest.mark.needs(Feature.TAGS)`), and has to fail on a store
that is declared to lack it: what a store gains is noticed. What a `Feature` is, and what the server does
without, is in `s3sftp/backends/s3/features.py`; docs/stores.md tells operators of both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from s3sftp.backends.s3.features import Feature


class Trait(StrEnum):
    """What AWS S3 has besides the features that the server can do without."""

    DIRECTORIES = "directories"
    """HEAD of a name that is a directory's alone says that nothing is there."""
    MARKERS = "markers"
    """Objects whose key ends in a slash, in listings as any other."""
    LONG_NAMES = "long-names"
    """255 bytes between two slashes, for files."""
    LONG_DIRECTORIES = "long-directories"
    """255 bytes before a slash at the end of a key."""
    ANY_NAME = "any-name"
    """Every character, in listings too."""
    FILE_BESIDE_DIRECTORY = "file-beside-directory"
    """An object `f` beside `f/x`."""
    ONE_ETAG = "one-etag"
    """An object has the ETag that its upload was answered with, and in every answer the same."""
    UPLOADS_LISTED = "uploads-listed"
    """ListMultipartUploads."""
    CONDITIONAL_ENDS = "conditional-ends"
    """If-Match on CompleteMultipartUpload."""
    LIFECYCLE = "lifecycle"
    """A rule that removes unfinished uploads."""
    ONE_WINNER = "one-winner"
    """Of two conditional writes at the same moment one is refused."""


Capability = Feature | Trait

SOMETIMES = frozenset({Feature.CONDITIONAL_WRITES, Trait.ONE_ETAG, Trait.ONE_WINNER})
"""What is missed only in some moments: a test that needs it may pass."""

_IGNORED = "conditions are ignored, so writers of one name at the same moment replace each other"
_COPIES = "ignored: a rename that must not replace looks first, or uploads"
_DELETES = "ignored: the file is looked at immediately before"

LACKS: Mapping[str, Mapping[Capability, str]] = {
    "moto": {
        Trait.CONDITIONAL_ENDS: "ignored",
    },
    "rclone": {
        Feature.CONDITIONAL_WRITES: _IGNORED,
        Feature.CONDITIONAL_COPIES: _COPIES,
        Feature.CONDITIONAL_DELETES: _DELETES,
        Feature.CHECKSUMS: "not looked at",
        Feature.TAGS: "dropped",
        Trait.MARKERS: "kept as empty files: a directory that is made is a file",
        Trait.LONG_DIRECTORIES: "of files, whose names have 255 bytes at most",
        Trait.ONE_ETAG: "an upload in parts is answered with another ETag than it has",
    },
    "s3proxy": {
        Feature.CONDITIONAL_WRITES: _IGNORED,
        Feature.CONDITIONAL_COPIES: _COPIES,
        Feature.CONDITIONAL_DELETES: _DELETES,
        Feature.CHECKSUMS: "NotImplemented: bytes are proven by MD5",
        Feature.TAGS: "NotImplemented",
        Trait.MARKERS: "those of empty directories are listed as files of the level above",
    },
    "s3s-fs": {
        Feature.CONDITIONAL_COPIES: _COPIES,
        Feature.CONDITIONAL_DELETES: _DELETES,
        Feature.TAGS: "NotImplemented",
        Trait.DIRECTORIES: "an internal error, so that no directory can be entered or renamed",
        Trait.MARKERS: "stored without an ETag and never listed, so that none can be made",
        Trait.LONG_NAMES: "names of files with more than some 230 bytes are an internal error",
        Trait.LONG_DIRECTORIES: "as any directory",
        Trait.ANY_NAME: "a plus sign is a space in listings",
        Trait.ONE_ETAG: "HEAD and GET tell different ones of what was replaced",
        Trait.UPLOADS_LISTED: "NotImplemented: what a crash leaves stays",
    },
}
"""By the name of the store, as in `--store-name`."""


def reasons(store: str, needed: Iterable[Capability]) -> dict[Capability, str]:
    """Why a test of these needs has to fail on a store; none: it has to pass."""
    lacking = LACKS.get(store, {})
    return {need: f"{store} lacks {need}: {lacking[need]}" for need in needed if need in lacking}
