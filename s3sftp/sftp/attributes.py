"""File attributes on the wire, and the line that `ls -l` shows. Pure.

Source: draft-ietf-secsh-filexfer-02 section 5: a flags word says which fields follow.
"""

from __future__ import annotations

import stat
import time
from dataclasses import dataclass

from s3sftp.backends import FileInfo
from s3sftp.fs import NewAttributes
from s3sftp.sftp.codec import BadMessage, Fields, string, u32, u64

SIZE = 0x01
UIDGID = 0x02
PERMISSIONS = 0x04
ACMODTIME = 0x08
EXTENDED = 0x80000000

_FILE_MODE = 0o644
_DIRECTORY_MODE = 0o755
_SIX_MONTHS = 182 * 86400


def read_attributes(fields: Fields) -> NewAttributes:
    """Parse what a client wants to set. Raises BadMessage."""
    flags = fields.u32()
    size = fields.u64() if flags & SIZE else None
    if size is not None and size >= 1 << 63:
        raise BadMessage("no file is that large")
    owner = (fields.u32(), fields.u32()) if flags & UIDGID else None
    permissions = fields.u32() if flags & PERMISSIONS else None
    mtime = None
    if flags & ACMODTIME:
        fields.u32()  # access time: nothing keeps it
        mtime = float(fields.u32())
    if flags & EXTENDED:
        _skip_extended(fields)
    return NewAttributes(size, mtime, permissions, owner)


def _skip_extended(fields: Fields) -> None:
    count = fields.u32()
    if count * 8 > fields.left:
        raise BadMessage(f"{count} extended attributes do not fit in the packet")
    for _ in range(count):
        fields.view()
        fields.view()


@dataclass(frozen=True, slots=True)
class Shown:
    """Attributes as clients see them."""

    info: FileInfo

    @property
    def mode(self) -> int:
        """Type and permission bits; the storage's own, else those of a plain file or directory."""
        if self.info.is_dir:
            return stat.S_IFDIR | (self.info.mode if self.info.mode is not None else _DIRECTORY_MODE)
        return stat.S_IFREG | (self.info.mode if self.info.mode is not None else _FILE_MODE)

    def encoded(self) -> bytes:
        """The ATTRS structure. A time that is not known is left out rather than made up."""
        flags, rest = SIZE | PERMISSIONS, u64(self.info.size) + u32(self.mode)
        if self.info.mtime is not None:
            seconds = u32(max(0, min(int(self.info.mtime), 0xFFFFFFFF)))
            flags, rest = flags | ACMODTIME, rest + seconds + seconds
        return u32(flags) + rest


def name_entry(name: bytes, info: FileInfo, user: str, now: float) -> bytes:
    """One element of a NAME answer: name, the line of `ls -l`, attributes."""
    shown = Shown(info)
    return string(name) + string(long_name(name, shown, user, now)) + shown.encoded()


def long_name(name: bytes, shown: Shown, user: str, now: float) -> bytes:
    """The line that OpenSSH's `ls -l` prints as it is."""
    head = f"{stat.filemode(shown.mode)}    1 {user:<8.32} {'s3':<8} {shown.info.size:>12} "
    return f"{head}{_date(shown.info.mtime, now)} ".encode() + name


def _date(mtime: float | None, now: float) -> str:
    """As `ls` does: the time of day for the last six months, else the year. Clients parse it: never blank."""
    mtime = mtime or 0.0
    at = time.gmtime(mtime)
    recent = -3600 < now - mtime < _SIX_MONTHS
    return time.strftime("%b %d %H:%M" if recent else "%b %d  %Y", at)
