"""Chooses the Content-Type of an object by the file's name. Pure, and the same on every machine.

Python's built-in table and the one below decide, not the machine's, so that all replicas agree. A compressed
file gets the type of its compression (`application/gzip`), not of its content: with a Content-Encoding,
browsers and many S3 clients would unpack it and deliver bytes other than those stored.
"""

from __future__ import annotations

import mimetypes
import re
from posixpath import basename, splitext
from typing import Final

_OFFICE: Final = "application/vnd.openxmlformats-officedocument"
_KNOWN: Final = mimetypes.MimeTypes(filenames=()).types_map[True] | {
    ".7z": "application/x-7z-compressed",
    ".avro": "application/vnd.apache.avro",
    ".br": "application/x-brotli",
    ".bz2": "application/x-bzip2",
    ".docx": f"{_OFFICE}.wordprocessingml.document",
    ".epub": "application/epub+zip",
    ".gz": "application/gzip",
    ".js": "text/javascript",
    ".jsonl": "application/jsonl",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".parquet": "application/vnd.apache.parquet",
    ".pptx": f"{_OFFICE}.presentationml.presentation",
    ".rtf": "application/rtf",
    ".sql": "application/sql",
    ".svgz": "application/gzip",
    ".tbz2": "application/x-bzip2",
    ".tgz": "application/gzip",
    ".txz": "application/x-xz",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    ".xz": "application/x-xz",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".z": "application/x-compress",
    ".zst": "application/zstd",
}
_UNFINISHED: Final = re.compile(
    r"(\.[0-9a-f]{8})?\.(filepart|partial|part|tmp|temp|upload|uploading)$", re.IGNORECASE
)
"""Suffixes that WinSCP, rclone and many scripts append during an upload; they rename the file afterwards."""
_OF_RSYNC: Final = re.compile(r"\.(.+)\.[A-Za-z0-9]{6}$")


def content_type(key: str) -> str | None:
    """Return the type for the last name of a key; None if the name does not tell, and for a directory's
    marker.

    A temporary name of an upload gets the type of the final name, because a rename keeps the type.
    """
    name = _UNFINISHED.sub("", basename(key))
    if (hidden := _OF_RSYNC.fullmatch(name)) is not None:
        name = hidden[1]
    return _KNOWN.get(splitext(name)[1].lower())
