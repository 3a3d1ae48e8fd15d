"""What the bucket says of a kept upload. Pure.

    <prefix>.s3sftp/kept/<user>/<file>.json           the record: who, which key, which multipart upload
    <prefix>.s3sftp/kept/<user>/<file>.<nonce>.tail   the bytes that follow the parts

`<user>` is a hash of the user's name, `<file>` one of the name and the key together: no path that a client
sends can lead to the record of another user, or of another file. A record is believed only if it contains
both as they are.

    0              parts                tail_at        size
    |──── 1 ────|──── 2 ────|──── 3 ────|░░░░ tail ░░░░|
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from s3sftp.backends.s3.checksums.digest import ChecksumScope, crc_of_text, crc_text
from s3sftp.backends.s3.keys import reserved_prefix
from s3sftp.backends.s3.write.part_sizes import UploadedPart

SUFFIX: Final = ".json"
TAIL_SUFFIX: Final = ".tail"
_Count = Annotated[int, Field(ge=0)]
_ScopeName = Literal["WHOLE", "PARTS", "NOTHING"]


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """One upload that may be continued."""

    user: str
    key: str
    owner: str
    """The upload of this server that wrote the record. Each writer has another."""
    write_id: str
    """What the finished object will carry."""
    state: Literal["sending", "kept"]
    """`sending`: its owner may still be sending parts. `kept`: nobody is."""
    began_at: float
    """Seconds since the epoch."""
    written_at: float
    upload_id: str | None = None
    """None: no part was sent, and all bytes are in the tail."""
    scope: _ScopeName = "NOTHING"
    takes_whole: bool = False
    created_at: float | None = None
    mtime: float | None = None
    mode: int | None = None
    size: _Count = 0
    """The bytes that could be continued when the upload was kept."""
    parts: _Count = 0
    """The number of parts that the owner knew to be stored."""
    parts_digest: str = ""
    """Covers number, size and ETag of each of them."""
    parts_crc: str = ""
    """Their CRCs, 4 bytes each, in base64; empty if one is not known."""
    tail: str | None = None
    """The name of the tail's object."""
    tail_at: _Count = 0
    """The offset of the tail in the file, in bytes."""
    tail_bytes: _Count = 0
    tail_sha256: str = ""

    def encoded(self) -> bytes:
        """The record as it is written. No two versions of it are equal, because the owner or time differs."""
        return json.dumps(asdict(self)).encode()


_RECORD: Final = TypeAdapter(KeptRecord)


def parse_record(data: bytes) -> KeptRecord:
    """Parse a record that this or another release has written. Raises ValueError: if it is none."""
    try:
        return _RECORD.validate_json(data)
    except ValidationError as wrong:
        raise ValueError(wrong.errors(include_url=False, include_context=False)[0]["msg"]) from None


def scope_name(scope: ChecksumScope) -> _ScopeName:
    """The name of what the checksums cover, as a record has it."""
    match scope:
        case ChecksumScope.WHOLE:
            return "WHOLE"
        case ChecksumScope.PARTS:
            return "PARTS"
        case ChecksumScope.NOTHING:
            return "NOTHING"


def kept_prefix(prefix: str) -> str:
    """The prefix of the keys of all records."""
    return f"{reserved_prefix(prefix)}kept/"


def folder_of(user: str) -> str:
    """The name of a user's records, up to the slash."""
    return f"{hashlib.sha256(user.encode('utf-8', 'surrogateescape')).hexdigest()[:40]}/"


def name_of_record(user: str, key: str) -> str:
    """The name of the record of a user's upload to a key, below `kept_prefix`."""
    both = json.dumps([user, key]).encode()
    return f"{folder_of(user)}{hashlib.sha256(both).hexdigest()[:40]}{SUFFIX}"


def name_of_tail(record: str, nonce: str) -> str:
    """The name of a tail of a record."""
    return f"{record.removesuffix(SUFFIX)}.{nonce}{TAIL_SUFFIX}"


def record_of_tail(tail: str) -> str:
    """The name of the record that a tail belongs to."""
    return tail.removesuffix(TAIL_SUFFIX).rpartition(".")[0] + SUFFIX


def part_of_listing(line: dict[str, Any]) -> UploadedPart:
    """A part as ListParts reports it."""
    names = ("ChecksumCRC32", "ChecksumSHA256")
    checksum = {name: line[name] for name in names if line.get(name)}
    return UploadedPart(int(line["PartNumber"]), int(line["Size"]), line["ETag"], checksum, None, False)


def contiguous(parts: Sequence[UploadedPart], min_bytes: int) -> list[UploadedPart]:
    """The parts from the first on without a gap, none of them too small to be followed by another."""
    found: list[UploadedPart] = []
    for part in sorted(parts, key=lambda each: each.number):
        if part.number != len(found) + 1 or part.size < min_bytes:
            break
        found.append(part)
    return found


def digest_of(parts: Sequence[UploadedPart]) -> str:
    """What `KeptRecord.parts_digest` has for these parts."""
    lines = "".join(f"{part.number} {part.size} {part.etag.strip(chr(34))}\n" for part in parts)
    return hashlib.sha256(lines.encode()).hexdigest()


def with_parts(record: KeptRecord, parts: Sequence[UploadedPart]) -> KeptRecord:
    """The record with the parts that are stored."""
    crcs = [part.crc for part in parts if part.crc is not None]
    packed = struct.pack(f">{len(crcs)}I", *crcs) if len(crcs) == len(parts) else b""
    return replace(
        record,
        parts=len(parts),
        parts_digest=digest_of(parts),
        parts_crc=base64.b64encode(packed).decode(),
    )


def proven_parts(record: KeptRecord, listed: Sequence[UploadedPart]) -> list[UploadedPart] | None:
    """The listed parts with the checksums that the record knows of them. None if they are not those that the
    record describes: another upload has replaced some of them, or the store has lost some."""
    known = list(listed[: record.parts])
    if len(known) < record.parts or (record.parts and digest_of(known) != record.parts_digest):
        return None
    crcs = _unpacked(record.parts_crc)
    if crcs is None or len(crcs) not in (0, record.parts):
        return None
    for index, crc in enumerate(crcs):
        text = crc_text(crc)
        if known[index].checksum.get("ChecksumCRC32", text) != text:
            return None
        known[index] = replace(known[index], checksum={"ChecksumCRC32": text}, crc=crc)
    return [*known, *(_with_own_crc(part) for part in listed[record.parts :])]


def _with_own_crc(part: UploadedPart) -> UploadedPart:
    text = part.checksum.get("ChecksumCRC32")
    return part if text is None else replace(part, crc=crc_of_text(text))


def _unpacked(text: str) -> tuple[int, ...] | None:
    try:
        raw = base64.b64decode(text, validate=True)
        return struct.unpack(f">{len(raw) // 4}I", raw)
    except (ValueError, struct.error):
        return None


def total_of(parts: Sequence[UploadedPart]) -> int:
    """The bytes of these parts together."""
    return sum(part.size for part in parts)


def has_tail_after(record: KeptRecord, stored: int) -> bool:
    """Whether the tail continues the parts, which have `stored` bytes. If they have more, its bytes are in
    one of them."""
    return record.tail is not None and record.tail_bytes > 0 and record.tail_at == stored
