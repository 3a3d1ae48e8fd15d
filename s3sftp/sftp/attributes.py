"""Encodes and decodes SFTP file attributes, and formats the line that `ls -l` shows. Pure.

Source: draft-ietf-secsh-filexfer-02 section 5: a flags word names the fields that follow.
"""

from __future__ import annotations

import stat
import struct
import time
from dataclasses import dataclass

from s3sftp.backends import FileInfo
from s3sftp.fs import NewAttributes
from s3sftp.sftp.codec import BadMessage, FieldReader, string

SIZE = 0x01
UIDGID = 0x02
PERMISSIONS = 0x04
ACMODTIME = 0x08
EXTENDED = 0x80000000

OWNER = 1000
"""The user and group id of every file. Storages have no owners, and clients compare these ids with those of
the root directory. 1000 is the first user of most Linux machines; 0 would mean that only root may write."""
UNDATED = 946_728_000
"""The modification time of an entry without one, such as a directory without a marker: noon of 1 January 2000
(UTC), which is that day in nearly every time zone. It is a constant so that every worker and replica answers
the same, also after a restart, and it is older than anything that a client compares it with."""

_FILE_MODE = 0o644
_DIRECTORY_MODE = 0o755
_SIX_MONTHS = 182 * 86400
_ATTRIBUTES = struct.Struct(">IQIIIII")


def read_attributes(fields: FieldReader) -> NewAttributes:
    """Parse the attributes that a client wants to set.

    Raises BadMessage: if fields are missing, or the size is 2⁶³ bytes or more.
    """
    flags = fields.u32()
    size = fields.u64() if flags & SIZE else None
    if size is not None and size >= 1 << 63:
        raise BadMessage("no file is that large")
    owner = (fields.u32(), fields.u32()) if flags & UIDGID else None
    permissions = fields.u32() if flags & PERMISSIONS else None
    mtime = None
    if flags & ACMODTIME:
        fields.u32()  # access time: no storage keeps it
        mtime = float(fields.u32())
    if flags & EXTENDED:
        _skip_extended(fields)
    return NewAttributes(size, mtime, permissions, owner)


def _skip_extended(fields: FieldReader) -> None:
    count = fields.u32()
    if count * 8 > fields.left:
        raise BadMessage(f"{count} extended attributes do not fit in the packet")
    for _ in range(count):
        fields.view()
        fields.view()


@dataclass(frozen=True, slots=True)
class ClientAttributes:
    """The attributes of a file or directory as clients see them."""

    info: FileInfo

    @property
    def mode(self) -> int:
        """Type and permission bits: the storage's own if any, else 0644 for files and 0755 for
        directories."""
        kind, usual = (stat.S_IFDIR, _DIRECTORY_MODE) if self.info.is_dir else (stat.S_IFREG, _FILE_MODE)
        return kind | (usual if self.info.mode is None else stat.S_IMODE(self.info.mode))

    @property
    def seconds(self) -> int:
        """The modification time in seconds since the epoch, clamped to 32 bits unsigned."""
        mtime = self.info.mtime
        return UNDATED if mtime is None else int(max(0, min(mtime, 0xFFFFFFFF)))

    def encoded(self) -> bytes:
        """The ATTRS structure with every field, because clients use the fields without checking the flags."""
        flags = SIZE | UIDGID | PERMISSIONS | ACMODTIME
        return _ATTRIBUTES.pack(flags, self.info.size, OWNER, OWNER, self.mode, self.seconds, self.seconds)


def name_entry(name: bytes, info: FileInfo, user: str, now: float) -> bytes:
    """One element of a NAME answer: name, line of `ls -l`, attributes. `now`: seconds since the epoch."""
    shown = ClientAttributes(info)
    return string(name) + string(long_name(name, shown, user, now)) + shown.encoded()


def long_name(name: bytes, shown: ClientAttributes, user: str, now: float) -> bytes:
    """The line of a listing, which OpenSSH's `ls -l` prints unchanged."""
    head = f"{stat.filemode(shown.mode)}    1 {user:<8.32} {'s3':<8} {shown.info.size:>12} "
    return f"{head}{_date(shown.seconds, now)} ".encode() + name


def _date(mtime: int, now: float) -> str:
    """Format a date as `ls` does: with the time of day if it is in the last six months, else with the year.

    Clients parse the date, so it is never blank.
    """
    at = time.gmtime(mtime)
    recent = -3600 < now - mtime < _SIX_MONTHS
    return time.strftime("%b %d %H:%M" if recent else "%b %d  %Y", at)
