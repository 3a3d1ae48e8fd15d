"""The SFTP extensions. The server announces those that it implements, and no others.

Sources: OpenSSH's PROTOCOL (limits, posix-rename, fsync, lsetstat, statvfs, fstatvfs, expand-path),
draft-ietf-secsh-filexfer-extensions-00 (copy-data, home-directory; check-file is in `check_file`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from s3sftp.backends import FileInfo, Usage
from s3sftp.errors import InvalidRequest, NotFound, PermissionDenied, Unsupported
from s3sftp.fs import FileSystem, OpenDirectory, OpenReader, OpenWriter, VirtualPath
from s3sftp.sftp.attributes import name_entry, read_attributes
from s3sftp.sftp.check_file import CheckFile
from s3sftp.sftp.codec import PACKET_OVERHEAD, FieldReader, PacketType, packet, u32, u64
from s3sftp.sftp.handles import HandleTable
from s3sftp.sftp.options import SftpOptions
from s3sftp.sftp.request import Request, on_handle, on_path
from s3sftp.sftp.status import ok_packet

ANNOUNCED: list[tuple[bytes, bytes]] = [
    (b"posix-rename@openssh.com", b"1"),
    (b"statvfs@openssh.com", b"2"),
    (b"fstatvfs@openssh.com", b"2"),
    (b"fsync@openssh.com", b"1"),
    (b"lsetstat@openssh.com", b"1"),
    (b"limits@openssh.com", b"1"),
    (b"expand-path@openssh.com", b"1"),
    (b"copy-data", b"1"),
    (b"check-file", b"1"),
    (b"check-file-name", b"1"),
    (b"check-file-handle", b"1"),
    (b"home-directory", b"1"),
]

_BLOCK_BYTES = 4096
_UNLIMITED_BYTES = 1 << 60
"""The size reported for a bucket without a quota: one EiB, which fits every client's arithmetic."""
_UNLIMITED_FILES = 1 << 50
_NAME_MAX = 255

Prepare = Callable[[int, FieldReader], Request]


class Extensions:
    """Parses EXTENDED requests, by name."""

    def __init__(self, files: FileSystem, handles: HandleTable, options: SftpOptions) -> None:
        self._files = files
        self._handles = handles
        self._options = options
        check_file = CheckFile(files, handles, options)
        self._prepare: dict[bytes, Prepare] = {
            b"posix-rename@openssh.com": self._posix_rename,
            b"statvfs@openssh.com": self._statvfs,
            b"fstatvfs@openssh.com": self._fstatvfs,
            b"fsync@openssh.com": self._fsync,
            b"lsetstat@openssh.com": self._lsetstat,
            b"limits@openssh.com": self._limits,
            b"expand-path@openssh.com": self._expand_path,
            b"copy-data": self._copy_data,
            b"check-file": check_file.as_paramiko,
            b"check-file-name": check_file.by_name,
            b"check-file-handle": check_file.by_handle,
            b"home-directory": self._home_directory,
        }

    def prepare(self, request_id: int, fields: FieldReader) -> Request:
        """Parse an EXTENDED request.

        Raises Unsupported: if the extension was not announced; BadMessage: if fields are missing;
        StorageError: if a path or handle is invalid.
        """
        name = fields.string()
        prepare = self._prepare.get(name)
        if prepare is None:
            raise Unsupported("unknown extension")
        return prepare(request_id, fields)

    def _posix_rename(self, request_id: int, fields: FieldReader) -> Request:
        source, target = VirtualPath.parse(fields.string()), VirtualPath.parse(fields.string())
        return rename_request(
            self._files, self._handles, request_id, "posix-rename", source, target, overwrite=True
        )

    def _lsetstat(self, request_id: int, fields: FieldReader) -> Request:
        path, new = VirtualPath.parse(fields.string()), read_attributes(fields)

        async def run() -> bytes:
            await self._files.set_attributes(path, new)
            return ok_packet(request_id)

        return Request(request_id, "lsetstat", run, (on_path(path, exclusive=True),), path, changes=True)

    def _statvfs(self, request_id: int, fields: FieldReader) -> Request:
        path = VirtualPath.parse(fields.string())

        async def run() -> bytes:
            await self._files.stat(path)
            return await self._usage_answer(request_id, path)

        return Request(request_id, "statvfs", run, (on_path(path, exclusive=False),), path)

    def _fstatvfs(self, request_id: int, fields: FieldReader) -> Request:
        handle = self._handles.find(fields.view())
        run = partial(self._usage_answer, request_id, handle.path)
        return Request(request_id, "fstatvfs", run, (), handle.path, handle=handle)

    async def _usage_answer(self, request_id: int, path: VirtualPath) -> bytes:
        return packet(PacketType.EXTENDED_REPLY, request_id, statvfs(await self._files.usage(path)))

    def _fsync(self, request_id: int, fields: FieldReader) -> Request:
        """Wait until all full chunks are stored, and report their failures. Only CLOSE commits the file."""
        handle = self._handles.find(fields.view())
        opened = handle.opened

        async def run() -> bytes:
            if isinstance(opened, OpenDirectory):
                raise InvalidRequest("not a file handle")
            if isinstance(opened, OpenWriter):
                await opened.sync()
            return ok_packet(request_id)

        return Request(
            request_id, "fsync", run, (on_handle(handle, exclusive=True),), handle.path, handle=handle
        )

    def _limits(self, request_id: int, fields: FieldReader) -> Request:
        async def run() -> bytes:
            options = self._options
            largest = max(options.max_read_bytes, options.max_write_bytes) + PACKET_OVERHEAD
            limits = (largest, options.max_read_bytes, options.max_write_bytes, options.max_handles)
            return packet(PacketType.EXTENDED_REPLY, request_id, *map(u64, limits))

        return Request(request_id, "limits", run)

    def _expand_path(self, request_id: int, fields: FieldReader) -> Request:
        raw = fields.string()
        head, _, rest = raw.partition(b"/")
        if raw.startswith(b"~"):
            self._check_is_me(head[1:])
            raw = b"/" + rest
        path = VirtualPath.parse(raw)

        async def run() -> bytes:
            return name_answer(request_id, path)

        return Request(request_id, "expand-path", run, (), path)

    def _home_directory(self, request_id: int, fields: FieldReader) -> Request:
        self._check_is_me(fields.string())

        async def run() -> bytes:
            return name_answer(request_id, VirtualPath())

        return Request(request_id, "home-directory", run)

    def _check_is_me(self, name: bytes) -> None:
        """Answer for every other user as if there were no such user, so that names cannot be probed."""
        if name not in (b"", self._files.session.user.encode()):
            raise NotFound("no such user")

    def _copy_data(self, request_id: int, fields: FieldReader) -> Request:
        source, start, length = self._handles.find(fields.view()), fields.u64(), fields.u64()
        target, at = self._handles.find(fields.view()), fields.u64()
        reader, writer = source.opened, target.opened
        if source is target or max(start, length, at) >= 1 << 63:
            raise InvalidRequest("a file cannot be copied into itself, nor beyond 2^63 bytes")

        async def run() -> bytes:
            if not isinstance(reader, OpenReader):
                raise PermissionDenied("the source is not open for reading alone")
            if not isinstance(writer, OpenWriter):
                raise PermissionDenied("the target is not open for writing")
            await self._files.copy(reader, start, length, writer, at)
            return ok_packet(request_id)

        claims = (on_handle(source, exclusive=False), on_handle(target, exclusive=True))
        return Request(request_id, "copy-data", run, claims, target.path, handle=target)


def rename_request(
    files: FileSystem,
    handles: HandleTable,
    request_id: int,
    name: str,
    source: VirtualPath,
    target: VirtualPath,
    *,
    overwrite: bool,
) -> Request:
    """The request of RENAME and posix-rename, which differ in `overwrite`: whether the target is replaced."""

    moving = handles.renaming(source, target)

    async def run() -> bytes:
        try:
            await files.rename(source, target, overwrite=overwrite)
        finally:
            for handle, path in moving:
                handle.may_become.remove(path)
        return ok_packet(request_id)

    claims = (on_path(source, exclusive=True), on_path(target, exclusive=True))
    return Request(request_id, name, run, claims, source, target=target, changes=True)


def name_answer(request_id: int, path: VirtualPath) -> bytes:
    """A NAME answer with one path and the attributes of a plain directory."""
    entry = name_entry(bytes(path), FileInfo.directory(), "", 0.0)
    return packet(PacketType.NAME, request_id, u32(1), entry)


def statvfs(usage: Usage) -> bytes:
    """The eleven 64-bit numbers of a statvfs answer: block sizes, blocks, files, id, flags, name length."""
    total = _UNLIMITED_BYTES if usage.total_bytes is None else usage.total_bytes
    free = max(0, total - (usage.used_bytes or 0)) // _BLOCK_BYTES
    blocks = total // _BLOCK_BYTES
    files = _UNLIMITED_FILES if usage.total_files is None else usage.total_files
    free_files = max(0, files - (usage.used_files or 0))
    of_blocks = (_BLOCK_BYTES, _BLOCK_BYTES, blocks, free, free)
    of_files = (files, free_files, free_files)
    return b"".join(map(u64, (*of_blocks, *of_files, 0, 0, _NAME_MAX)))
