"""SFTP v3 on the wire: written from the protocol, not from the product.

Source: draft-ietf-secsh-filexfer-02. Nothing here checks what is sent: tests send nonsense on purpose.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT = range(1, 11)
OPENDIR, READDIR, REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME, READLINK, SYMLINK = range(11, 21)
STATUS, HANDLE, DATA, NAME, ATTRS = range(101, 106)
EXTENDED, EXTENDED_REPLY = 200, 201

OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE = range(6)
OP_UNSUPPORTED = 8

R, W, APPEND, CREAT, TRUNC, EXCL = 1, 2, 4, 8, 16, 32

NO_ATTRIBUTES = struct.pack(">I", 0)


class Refused(Exception):
    """The answer was a status other than OK."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"status {code}: {text}")
        self.code = code


@dataclass(frozen=True)
class Reply:
    """One answer, without its id."""

    kind: int
    body: bytes

    @property
    def code(self) -> int:
        """The code of a STATUS; OK for everything else."""
        return struct.unpack_from(">I", self.body)[0] if self.kind == STATUS else OK

    @property
    def text(self) -> str:
        return read_string(self.body, 4)[0].decode() if self.kind == STATUS else ""

    def must_be(self, kind: int) -> bytes:
        """The body, if the answer is of that kind; a refusal is raised."""
        if self.kind == STATUS and (self.code != OK or kind != STATUS):
            raise Refused(self.code, self.text)
        assert self.kind == kind, f"answer of type {self.kind} where {kind} was expected"
        return self.body


def string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def u32(value: int) -> bytes:
    return struct.pack(">I", value)


def u64(value: int) -> bytes:
    return struct.pack(">Q", value)


def read_string(data: bytes, at: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from(">I", data, at)
    start = at + 4
    assert start + length <= len(data), "a string that ends behind its packet"
    return data[start : start + length], start + length


def packet(kind: int, body: bytes = b"", request_id: int | None = None) -> bytes:
    head = bytes([kind]) + (b"" if request_id is None else u32(request_id))
    return u32(len(head) + len(body)) + head + body


@dataclass(frozen=True)
class Attributes:
    """What STAT and READDIR say."""

    size: int | None = None
    permissions: int | None = None
    mtime: int | None = None
    atime: int | None = None
    owner: tuple[int, int] | None = None
    """User and group."""

    @property
    def is_complete(self) -> bool:
        return None not in (self.size, self.permissions, self.mtime, self.atime, self.owner)

    @property
    def is_dir(self) -> bool:
        return self.permissions is not None and self.permissions & 0o170000 == 0o040000

    @classmethod
    def parse(cls, data: bytes, at: int) -> tuple[Attributes, int]:
        (flags,) = struct.unpack_from(">I", data, at)
        at += 4
        size = permissions = mtime = atime = owner = None
        if flags & 1:
            (size,) = struct.unpack_from(">Q", data, at)
            at += 8
        if flags & 2:
            owner = struct.unpack_from(">II", data, at)
            at += 8
        if flags & 4:
            (permissions,) = struct.unpack_from(">I", data, at)
            at += 4
        if flags & 8:
            atime, mtime = struct.unpack_from(">II", data, at)
            at += 8
        assert not flags & ~0xF, f"unknown attribute flags {flags:x}"
        return cls(size, permissions, mtime, atime, owner), at
