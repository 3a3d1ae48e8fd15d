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
    ONE_TIME = "one-time"
    """An object in parts has the time at which its upload began, as AWS says, and a copy the time it was
    answered with."""
    UPLOADS_LISTED = "uploads-listed"
    """ListMultipartUploads."""
    SIDE_BY_SIDE = "uploads-side-by-side"
    """Several multipart uploads of one name, each of which ends by itself."""
    LIFECYCLE = "lifecycle"
    """A rule that removes unfinished uploads."""
    ONE_WINNER = "one-winner"
    """Of two conditional writes at the same moment one is refused."""


Capability = Feature | Trait

SOMETIMES = frozenset({Feature.CONDITIONAL_WRITES, Trait.ONE_ETAG, Trait.ONE_WINNER, Trait.SIDE_BY_SIDE})
"""What is missed only in some moments: a test that needs it may pass."""

_IGNORED = "conditions are ignored, so writers of one name at the same moment replace each other"
_COPIES = "ignored: a rename that must not replace looks first, or uploads"
_DELETES = "ignored: the file is looked at immediately before"

LACKS: Mapping[str, Mapping[Capability, str]] = {
    "minio": {
        Feature.CONDITIONAL_COPIES: _COPIES,
        Feature.CONDITIONAL_DELETES: _DELETES,
        Feature.COPIED_PART_CHECKSUMS: "InvalidArgument: such files are uploaded without checksums",
        Trait.LONG_DIRECTORIES: "XMinioInvalidObjectName: an error of that operation",
        Trait.ONE_TIME: "that of its end: the time of a new file may change once",
        Trait.LIFECYCLE: "has its own rule, which removes them after a day",
    },
    "garage": {
        Feature.CONDITIONAL_WRITES: _IGNORED,
        Feature.CONDITIONAL_COPIES: _COPIES,
        Feature.CONDITIONAL_DELETES: _DELETES,
        Feature.WHOLE_CHECKSUMS: "InvalidDigest: each part is proven by itself",
        Feature.COPIED_PART_CHECKSUMS: "not told, and wanted at the end: such files are uploaded without",
        Feature.TAGS: "dropped",
        Trait.ONE_TIME: "that of its end: the time of a new file may change once",
        Trait.SIDE_BY_SIDE: "what ends first ends the others: an error of their files",
    },
    "versitygw": {
        Feature.CONDITIONAL_COPIES: _COPIES,
        Feature.COPIED_PART_CHECKSUMS: "that of the whole source is told: such files are uploaded without",
        Trait.FILE_BESIDE_DIRECTORY: "ObjectParentIsFile: an error of that operation",
        Trait.ONE_TIME: "that of its end: the time of a new file may change once",
        Trait.LIFECYCLE: "NotImplemented: what a crash leaves is removed by the janitor alone",
        Trait.ONE_WINNER: "the condition is looked at before the end, and two may win",
    },
    "s3proxy-files": {
        Feature.CONDITIONAL_WRITES: _IGNORED,
        Feature.CONDITIONAL_COPIES: _COPIES,
        Feature.CONDITIONAL_DELETES: _DELETES,
        Feature.CHECKSUMS: "NotImplemented: bytes are proven by MD5",
        Feature.TAGS: "NotImplemented",
        Trait.MARKERS: "not listed below themselves: an empty directory is shown and cannot be entered",
        Trait.LONG_NAMES: "an internal error",
        Trait.LONG_DIRECTORIES: "an internal error",
        Trait.FILE_BESIDE_DIRECTORY: "an internal error",
        Trait.ONE_ETAG: "an upload in parts is answered with another ETag than it has",
    },
    "rclone": {
        Feature.CONDITIONAL_WRITES: _IGNORED,
        Feature.CONDITIONAL_COPIES: _COPIES,
        Feature.MATCHED_COPIES: "ignored: the source is looked at immediately before and after",
        Feature.CONDITIONAL_DELETES: _DELETES,
        Feature.CHECKSUMS: "not looked at",
        Feature.TAGS: "dropped",
        Trait.MARKERS: "kept as empty files: a directory that is made is a file",
        Trait.LONG_DIRECTORIES: "of files, whose names have 255 bytes at most",
        Trait.FILE_BESIDE_DIRECTORY: "an internal error",
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
        Trait.FILE_BESIDE_DIRECTORY: "an internal error",
        Trait.ANY_NAME: "a plus sign is a space in listings",
        Trait.ONE_ETAG: "HEAD and GET tell different ones of what was replaced",
        Trait.UPLOADS_LISTED: "NotImplemented: what a crash leaves stays",
    },
}
"""By the name of the store, as in `--store-name`."""

NEEDS: Mapping[str, tuple[Capability, ...]] = {
    "test_a_directory_may_have_an_odd_name[longest]": (Trait.LONG_DIRECTORIES,),
    "test_a_directory_may_have_an_odd_name[longest, 2 bytes each]": (Trait.LONG_DIRECTORIES,),
    "test_a_directory_may_have_an_odd_name[longest, 4 bytes each]": (Trait.LONG_DIRECTORIES,),
    "test_a_base_that_somebody_else_replaced_is_not_built_upon": (Feature.CONDITIONAL_WRITES,),
    "test_a_write_on_a_base_that_changed_fails": (Feature.CONDITIONAL_WRITES, Trait.SIDE_BY_SIDE),
    "test_a_write_that_keeps_nothing_of_its_base_replaces_any": (Trait.SIDE_BY_SIDE,),
    "test_an_exclusive_write_never_replaces": (Feature.CONDITIONAL_WRITES, Trait.SIDE_BY_SIDE),
    "test_an_exclusive_write_sees_what_somebody_else_put": (Feature.CONDITIONAL_WRITES,),
    "test_of_exclusive_writers_exactly_one_wins": (Feature.CONDITIONAL_WRITES, Trait.ONE_WINNER),
    "test_a_lost_reply_behind_which_someone_else_wrote_is_a_failure": (Trait.ONE_WINNER,),
    "test_a_file_is_its_chunks_and_its_tail": (Trait.ONE_TIME,),
    "test_kept_ranges_and_new_chunks_make_one_file": (Trait.ONE_TIME,),
    "test_a_copy_has_the_content_and_leaves_the_source": (Trait.ONE_TIME,),
    "test_what_an_operation_returns_is_what_is_there": (Trait.ONE_TIME,),
    "test_a_new_file_does_not_replace_one_that_came_meanwhile": (Trait.SIDE_BY_SIDE,),
    "test_a_lifecycle_rule_is_found": (Trait.LIFECYCLE,),
    "test_files_directories_and_no_marker": (Trait.FILE_BESIDE_DIRECTORY,),
    "test_a_name_that_is_file_and_directory_is_listed_once_and_is_the_file": (Trait.FILE_BESIDE_DIRECTORY,),
    "test_the_twin_is_noticed_across_a_page_too": (Trait.FILE_BESIDE_DIRECTORY,),
    "test_an_empty_file_that_has_a_directorys_name_is_the_file": (Trait.FILE_BESIDE_DIRECTORY,),
    "test_an_empty_file_is_opened_though_its_name_is_or_was_a_directorys": (Trait.FILE_BESIDE_DIRECTORY,),
    "test_where_nobody_knows_nothing_is_asked": (Trait.FILE_BESIDE_DIRECTORY,),
    "test_every_checksum_works_for_every_kind_of_write": (Feature.COPIED_PART_CHECKSUMS,),
    "test_a_large_file_is_copied_in_parts_at_once": (Feature.COPIED_PART_CHECKSUMS,),
    "test_what_stores_answer_is_believed": (Feature.COPIED_PART_CHECKSUMS,),
}
"""What tests need that are written for any storage, or for what one store shows: by name, in some case."""


def needs_of(name: str) -> tuple[Capability, ...]:
    """What a test needs beyond what it says itself."""
    return NEEDS.get(name, ()) + NEEDS.get(name.partition("[")[0], ())


def reasons(store: str, needed: Iterable[Capability]) -> dict[Capability, str]:
    """Why a test of these needs has to fail on a store; none: it has to pass."""
    lacking = LACKS.get(store, {})
    return {need: f"{store} lacks {need}: {lacking[need]}" for need in needed if need in lacking}
