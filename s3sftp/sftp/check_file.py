"""The check-file extension: the server hashes files and their blocks.

    request                 target    answer
    check-file-name         a path    algorithm, hashes        as in the draft, WinSCP and ProFTPD
    check-file-handle       a handle  algorithm, hashes
    check-file              a handle  "check-file", algorithm, hashes        as in paramiko

The server announces all three names: WinSCP looks for `check-file`, although it sends `check-file-name`. The
hashes fill the rest of the packet, without lengths.

Source: draft-ietf-secsh-filexfer-extensions-00 section 3; paramiko's `SFTPFile.check`.
"""

from __future__ import annotations

from dataclasses import dataclass

from s3sftp.errors import InvalidRequest, PermissionDenied, Unsupported
from s3sftp.fs import ALGORITHMS, FileSystem, HashRequest, OpenReader, VirtualPath
from s3sftp.sftp.codec import FieldReader, PacketType, packet, string
from s3sftp.sftp.handles import HandleTable
from s3sftp.sftp.options import SftpOptions
from s3sftp.sftp.request import Request, on_handle, on_path

_MAX_OFFSET = 1 << 63


@dataclass(frozen=True, slots=True)
class CheckFile:
    """Parses the three forms of the request."""

    files: FileSystem
    handles: HandleTable
    options: SftpOptions

    def by_name(self, request_id: int, fields: FieldReader) -> Request:
        path = VirtualPath.parse(fields.string())
        wanted = _wanted(fields)

        async def run() -> bytes:
            hashes = await self.files.hash_file(path, wanted, self._most_bytes)
            return _answer(request_id, wanted, hashes)

        answer_bytes = self._answer_bytes(wanted)
        claims = (on_path(path, exclusive=False),)
        return Request(request_id, "check-file-name", run, claims, path, answer_bytes=answer_bytes)

    def by_handle(self, request_id: int, fields: FieldReader) -> Request:
        return self._of_handle(request_id, fields, "check-file-handle")

    def as_paramiko(self, request_id: int, fields: FieldReader) -> Request:
        return self._of_handle(request_id, fields, "check-file", string(b"check-file"))

    def _of_handle(self, request_id: int, fields: FieldReader, name: str, before: bytes = b"") -> Request:
        handle = self.handles.find(fields.view())
        wanted, opened = _wanted(fields), handle.opened

        async def run() -> bytes:
            if not isinstance(opened, OpenReader):
                raise PermissionDenied("the file is not open for reading alone; after CLOSE it can be hashed")
            hashes = await self.files.hash_open_file(opened, wanted, self._most_bytes)
            return _answer(request_id, wanted, hashes, before)

        answer_bytes = self._answer_bytes(wanted)
        claims = (on_handle(handle, exclusive=False),)
        return Request(request_id, name, run, claims, handle.path, handle=handle, answer_bytes=answer_bytes)

    @property
    def _most_bytes(self) -> int:
        """The most bytes of hashes in one answer: the same as the data of a READ."""
        return self.options.max_read_bytes

    def _answer_bytes(self, wanted: HashRequest) -> int:
        return self._most_bytes if wanted.block_bytes else 0


def _wanted(fields: FieldReader) -> HashRequest:
    """Parse the fields that all forms share.

    Raises Unsupported: if we have none of the listed algorithms; InvalidRequest: if the offset is 2⁶³ or
    more.
    """
    listed = fields.string().decode("ascii", "replace").split(",")
    start, length, block_bytes = fields.u64(), fields.u64(), fields.u32()
    known = next((name for name in map(str.strip, listed) if name in ALGORITHMS), None)
    if known is None:
        raise Unsupported(f"no hash algorithm that is known here; those are {', '.join(ALGORITHMS)}")
    if start >= _MAX_OFFSET:
        raise InvalidRequest("no file is that large")
    return HashRequest(known, start, min(length, _MAX_OFFSET), block_bytes)


def _answer(request_id: int, wanted: HashRequest, hashes: bytes, before: bytes = b"") -> bytes:
    return packet(PacketType.EXTENDED_REPLY, request_id, before, string(wanted.algorithm.encode()), hashes)
