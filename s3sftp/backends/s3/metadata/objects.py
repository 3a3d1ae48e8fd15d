"""Converts between S3 objects and the contract's types: times, versions, modes and request fields. Pure."""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from s3sftp.backends.contract import FileInfo, Session
from s3sftp.backends.s3.http.response_fields import parse_http_date
from s3sftp.backends.s3.metadata.content_types import content_type
from s3sftp.backends.s3.metadata.mtime_text import mtime_of, mtime_text
from s3sftp.backends.s3.metadata.owner import owner_metadata
from s3sftp.backends.s3.options import MODE_METADATA, MTIME_METADATA, UPLOAD_METADATA, S3Options
from s3sftp.errors import StorageFailure

Fields = dict[str, Any]
_PARTIAL = 206
_TOTAL = re.compile(r"bytes 0-\d+/(\d+)")

_CLOCK_SECONDS = 600.0
"""Maximum seconds that our clock may be ahead of the store's."""
_CARRIED = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "WebsiteRedirectLocation",
    "StorageClass",
    "ServerSideEncryption",
    "SSEKMSKeyId",
    "BucketKeyEnabled",
)

_MODE_DIGITS = 8
_DECIMAL_MODES = range(stat.S_IFREG, stat.S_IFREG + 0o10000)
"""Decimal modes that s3fs writes for a file. Read as octal, none of them has a file's type."""


def mode_text(mode: int) -> str:
    """Format permission bits so that others can read them: with the file type, for rclone, and a leading
    zero, by which s3fs recognises octal."""
    return f"0{stat.S_IFREG | mode:o}"


def mode_of(metadata: Mapping[str, str]) -> int | None:
    """Return the permission bits in an object's metadata: octal, or decimal with the type as s3fs writes
    them. None if no valid ones are there."""
    text = metadata.get(MODE_METADATA, "")
    if not (text.isascii() and text.isdigit() and len(text) <= _MODE_DIGITS):
        return None
    if not text.startswith("0") and int(text) in _DECIMAL_MODES:
        return stat.S_IMODE(int(text))
    return stat.S_IMODE(int(text, 8)) if max(text) < "8" else None


def version_of(answer: Mapping[str, Any]) -> str | None:
    """Return the ETag in quotes, which some stores leave out in some replies."""
    etag: str | None = answer.get("ETag")
    return etag if not etag or etag.startswith(('"', "W/")) else f'"{etag}"'


def condition_on(version: str | None) -> Fields:
    """Return the condition that makes a GET fail on another version.

    A weak ETag matches nothing, so the caller must compare the reply's ETag instead.
    """
    return {} if version is None or version.startswith("W/") else {"IfMatch": version}


def is_version(answer: Mapping[str, Any], version: str) -> bool:
    """Whether a reply belongs to this version. A proxy may mark any ETag as weak."""
    return (version_of(answer) or "").removeprefix("W/") == version.removeprefix("W/")


def file_info_from_head(answer: Mapping[str, Any], options: S3Options) -> FileInfo:
    """Describe a file from a reply to HEAD or GET, with the time and permissions in its metadata.

    Raises StorageFailure: if the reply does not report the size, since an unknown size must not become 0.
    """
    if "ContentLength" not in answer:
        raise StorageFailure("storage does not tell the file's size")
    metadata = answer.get("Metadata", {})
    mtime = mtime_of(metadata) if options.keeps_times else None
    if mtime is None:
        mtime = uploaded_at(answer)
    mode = mode_of(metadata) if options.keeps_modes else None
    return FileInfo.file(int(answer["ContentLength"]), mtime, version_of(answer), mode)


def uploaded_at(answer: Mapping[str, Any]) -> float | None:
    """When the object was written, by the store's clock, in seconds."""
    return _seconds(answer.get("LastModified"))


def size_of(answer: Mapping[str, Any], stop: int) -> int | None:
    """Return the size of the whole object from the reply to a GET of its first `stop` bytes; None if it is
    not reported.

    A reply without Content-Range is the whole object only if it is longer than requested.
    """
    if "ContentRange" in answer:
        total = _TOTAL.fullmatch(answer["ContentRange"])
        return None if total is None else int(total[1])
    size: int | None = answer.get("ContentLength")
    return None if size is None or size <= stop or is_partial(answer) else size


def is_partial(answer: Mapping[str, Any]) -> bool:
    """Whether the store's status says that the body is a part of the object (206)."""
    return bool(answer.get("ResponseMetadata", {}).get("HTTPStatusCode") == _PARTIAL)


def file_info_from_listing(line: Mapping[str, Any]) -> FileInfo:
    """Describe a file from a listing entry. A listing does not report metadata: the time is the upload's, in
    whole seconds as in a HEAD."""
    return FileInfo.file(int(line["Size"]), _seconds(line.get("LastModified")), version_of(line))


def directory_info_from_page(answer: Mapping[str, Any], prefix: str) -> FileInfo:
    """Describe a directory from the first page of its listing, where its marker, if any, comes first."""
    first: Mapping[str, Any] = next(iter(answer.get("Contents", ())), {})
    return FileInfo.directory(_seconds(first.get("LastModified")) if first.get("Key") == prefix else None)


def server_time(answer: Mapping[str, Any]) -> float | None:
    """When the store replied, by its own clock, in seconds; None if the reply has no valid Date header."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    moment = parse_http_date(date) if date else None
    return None if moment is None else moment.timestamp()


def earliest_server_time(answer: Mapping[str, Any]) -> float:
    """When the store replied, by its clock; without a Date header, the earliest possible time."""
    reported_at = server_time(answer)
    return time.time() - _CLOCK_SECONDS if reported_at is None else reported_at


def placement(options: S3Options) -> Fields:
    """Fields for encryption, storage class and ACL, none of which S3 takes over from the source of a copy."""
    fields: Fields = {}
    if options.sse != "none":
        fields["ServerSideEncryption"] = options.sse
    if options.sse_kms_key_id is not None:
        fields["SSEKMSKeyId"] = options.sse_kms_key_id
    if options.bucket_key_enabled is not None:
        fields["BucketKeyEnabled"] = options.bucket_key_enabled
    if options.storage_class is not None:
        fields["StorageClass"] = options.storage_class
    if options.acl is not None:
        fields["ACL"] = options.acl
    return fields


def new_object(
    options: S3Options,
    write_id: str,
    mtime: float | None,
    mode: int | None = None,
    *,
    key: str = "",
    owner: Session | None = None,
) -> Fields:
    """Fields of a request that creates an object from a client's bytes; `key` decides the Content-Type,
    `owner` is who stores it, if it is a file of a user."""
    fields = placement(options)
    if options.content_types and (kind := content_type(key)) is not None:
        fields["ContentType"] = kind
    fields["Metadata"] = {**options.metadata, UPLOAD_METADATA: write_id}
    if options.owner_metadata and owner is not None:
        fields["Metadata"] |= owner_metadata(owner)
    if mtime is not None:
        fields["Metadata"][MTIME_METADATA] = mtime_text(mtime)
    if mode is not None:
        fields["Metadata"][MODE_METADATA] = mode_text(mode)
    if options.tags:
        fields["Tagging"] = urlencode(options.tags)
    return fields


def written_head(fields: Fields, info: FileInfo) -> Fields:
    """Return the HEAD reply for an object that was created with these fields."""
    kept = {name: fields[name] for name in _CARRIED if name in fields}
    return {**kept, "Metadata": fields["Metadata"], "ContentLength": info.size, "ETag": info.version}


def carried_over(head: Mapping[str, Any]) -> Fields:
    """Fields that a rewritten object takes over from the old one. The caller adds the metadata."""
    fields = {name: head[name] for name in _CARRIED if head.get(name) not in (None, "")}
    if fields.get("StorageClass") == "STANDARD":
        del fields["StorageClass"]
    return fields


def write_id_of(head: Mapping[str, Any]) -> str | None:
    """Return the id of the write of ours that created the object; None if none did."""
    found: str | None = head.get("Metadata", {}).get(UPLOAD_METADATA)
    return found


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else float(int(moment.timestamp()))
