"""Objects in S3's words and in the contract's: times, versions and the fields of requests. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

from s3sftp.backends.contract import FileInfo
from s3sftp.backends.s3.options import MTIME_METADATA, UPLOAD_METADATA, S3Options
from s3sftp.errors import StorageFailure

Fields = dict[str, Any]
_TOTAL = re.compile(r"bytes 0-\d+/(\d+)")

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


def mtime_text(mtime: float) -> str:
    """Seconds since the epoch as rclone writes them: decimal, no exponent."""
    text = f"{mtime:.9f}".rstrip("0").rstrip(".")
    return text or "0"


def mtime_of(metadata: Mapping[str, str]) -> float | None:
    """The modification time in an object's metadata; None when there is none that makes sense."""
    try:
        mtime = float(metadata[MTIME_METADATA])
    except (KeyError, ValueError):
        return None
    return mtime if math.isfinite(mtime) else None


def version_of(answer: Mapping[str, Any]) -> str | None:
    """The ETag, always in quotes: some stores leave them out in some answers."""
    etag: str | None = answer.get("ETag")
    return etag if not etag or etag.startswith(('"', "W/")) else f'"{etag}"'


def info_of_head(answer: Mapping[str, Any]) -> FileInfo:
    """A file, out of the answer to HEAD or GET. Raises StorageFailure when it does not tell the size: unknown
    is not 0."""
    if "ContentLength" not in answer:
        raise StorageFailure("storage does not tell the file's size")
    mtime = mtime_of(answer.get("Metadata", {}))
    if mtime is None:
        mtime = _seconds(answer.get("LastModified"))
    return FileInfo.file(int(answer["ContentLength"]), mtime, version_of(answer))


def size_of(answer: Mapping[str, Any]) -> int | None:
    """The size of the whole object, out of the answer to a GET of its beginning; None when it is not told."""
    if "ContentRange" in answer:
        total = _TOTAL.fullmatch(answer["ContentRange"])
        return None if total is None else int(total[1])
    size: int | None = answer.get("ContentLength")
    return size


def info_of_line(line: Mapping[str, Any]) -> FileInfo:
    """A file, out of a line of a listing. That does not tell metadata: the time is the upload's."""
    return FileInfo.file(int(line.get("Size", 0)), _seconds(line.get("LastModified")), version_of(line))


def time_of(answer: Mapping[str, Any]) -> float | None:
    """When the store answered, by its own clock."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None


def placement(options: S3Options) -> Fields:
    """Where and how an object is kept: S3 takes none of this over from the source of a copy."""
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


def new_object(options: S3Options, write_id: str, mtime: float | None) -> Fields:
    """The fields of a request that makes an object out of a client's bytes."""
    fields = placement(options)
    fields["Metadata"] = {**options.metadata, UPLOAD_METADATA: write_id}
    if mtime is not None:
        fields["Metadata"][MTIME_METADATA] = mtime_text(mtime)
    if options.tags:
        fields["Tagging"] = urlencode(options.tags)
    return fields


def written_head(fields: Fields, info: FileInfo) -> Fields:
    """What a HEAD would tell of an object that was made with these fields."""
    kept = {name: fields[name] for name in _CARRIED if name in fields}
    return {**kept, "Metadata": fields["Metadata"], "ContentLength": info.size, "ETag": info.version}


def carried(head: Mapping[str, Any]) -> Fields:
    """What a rewritten object takes over from the old one; metadata is the caller's to add."""
    fields = {name: head[name] for name in _CARRIED if head.get(name) not in (None, "")}
    if fields.get("StorageClass") == "STANDARD":
        del fields["StorageClass"]
    return fields


def write_id_of(head: Mapping[str, Any]) -> str | None:
    """Which write of ours made the object, if one did."""
    found: str | None = head.get("Metadata", {}).get(UPLOAD_METADATA)
    return found


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
