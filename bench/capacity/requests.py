"""What operations ask of S3: docs/semantics.md's table of costs as functions. Pure.

`tests/bench/test_capacity.py` compares them with that table, which is measured, and with files of results.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import count

from s3sftp.backends.s3.write.part_sizes import part_size
from s3sftp.fs.read.reader import OPEN_BYTES

MIB = 1 << 20
PART_BYTES = 8 * MIB
"""Default of `s3.part_bytes`."""
RANGE_BYTES = 8 * MIB
"""Default of `files.range_bytes`."""
PAGE_NAMES = 1000

WRITES_PER_SECOND = 3500
READS_PER_SECOND = 5500
"""What S3 takes at least, for each partition of a bucket's keys (S3 user guide, "Optimizing performance")."""

_WRITES = {
    "PutObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "CopyObject",
    "DeleteObject",
}

Requests = Counter[str]


def put(size: int, part_bytes: int = PART_BYTES) -> Requests:
    """An upload, no STAT before it."""
    if size <= part_bytes:
        return Counter(PutObject=1)
    return Counter(CreateMultipartUpload=1, UploadPart=parts(size, part_bytes), CompleteMultipartUpload=1)


def parts(size: int, part_bytes: int) -> int:
    """How many parts an upload has; later ones are larger."""
    left = size
    for number in count(1):
        left -= part_size(number, part_bytes)
        if left <= 0:
            return number
    raise AssertionError


def get(size: int, range_bytes: int = RANGE_BYTES, *, known: bool = False) -> Requests:
    """A download from start to end; `known` after a STAT or a listing of it."""
    if not known:  # opening it brings the first bytes, and says what a HEAD would
        return _without_zeros(GetObject=1 + -(-max(0, size - OPEN_BYTES) // range_bytes))
    return _without_zeros(GetObject=-(-size // range_bytes))


def stat(*, exists: bool) -> Requests:
    """A STAT of a file or of nothing, not known. Clients do the latter before they upload a new name."""
    return _without_zeros(HeadObject=1, ListObjectsV2=0 if exists else 1)


def listing(names: int) -> Requests:
    """A directory with so many names."""
    return Counter(ListObjectsV2=max(1, -(-names // PAGE_NAMES)))


def rename() -> Requests:
    """A posix-rename of a file up to 5 GiB, nothing known. Just after its upload it is one HEAD less."""
    return Counter(HeadObject=1, CopyObject=1, DeleteObject=1)


def writes(requests: Mapping[str, float]) -> float:
    """Those that count against `WRITES_PER_SECOND`: PUT, COPY, POST, DELETE."""
    return sum(number for api, number in requests.items() if api in _WRITES)


def reads(requests: Mapping[str, float]) -> float:
    """All others: GET and HEAD, LIST being a GET."""
    return sum(number for api, number in requests.items() if api not in _WRITES)


def _without_zeros(**numbers: int) -> Requests:
    return Counter({api: number for api, number in numbers.items() if number})
