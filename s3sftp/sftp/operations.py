"""Implements the requests of SFTP version 3: `prepare` parses a packet into a `Request` that runs later."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial

from s3sftp.backends import Entry
from s3sftp.errors import InvalidRequest, PermissionDenied, Unsupported
from s3sftp.fs import FileSystem, NewAttributes, OpenDirectory, OpenReader, OpenWriter, VirtualPath, WriteMode
from s3sftp.sftp.attributes import ClientAttributes, name_entry, read_attributes
from s3sftp.sftp.codec import Answer, FieldReader, OpenFlag, PacketType, packet, string, u32
from s3sftp.sftp.extensions import Extensions, name_answer, rename_request
from s3sftp.sftp.handles import Handle, HandleTable
from s3sftp.sftp.options import SftpOptions
from s3sftp.sftp.request import (
    ReadRequest,
    Request,
    TransferRequest,
    WriteRequest,
    data_answer,
    on_entries,
    on_handle,
    on_path,
)
from s3sftp.sftp.status import Status, ok_packet, status_packet

_NAMES_BYTES = 32 * 1024
"""The approximate size of a NAME answer: a hundred entries or more, and small enough for every client."""
_MAX_OFFSET = 1 << 63

Prepare = Callable[[int, FieldReader], Request | TransferRequest]


class Operations:
    """Parses the requests of one session, by packet type."""

    def __init__(self, files: FileSystem, handles: HandleTable, options: SftpOptions) -> None:
        self._files = files
        self._handles = handles
        self._options = options
        self._unlisted: dict[int, list[Entry]] = {}
        extensions = Extensions(files, handles, options)
        self._prepare: dict[int, Prepare] = {
            PacketType.OPEN: self._open,
            PacketType.CLOSE: self._close,
            PacketType.READ: self._read,
            PacketType.WRITE: self._write,
            PacketType.LSTAT: partial(self._stat, "LSTAT"),
            PacketType.STAT: partial(self._stat, "STAT"),
            PacketType.FSTAT: self._fstat,
            PacketType.SETSTAT: self._setstat,
            PacketType.FSETSTAT: self._fsetstat,
            PacketType.OPENDIR: self._opendir,
            PacketType.READDIR: self._readdir,
            PacketType.REMOVE: self._remove,
            PacketType.MKDIR: self._mkdir,
            PacketType.RMDIR: self._rmdir,
            PacketType.REALPATH: self._realpath,
            PacketType.RENAME: self._rename,
            PacketType.READLINK: partial(self._no_links, "READLINK"),
            PacketType.SYMLINK: partial(self._no_links, "SYMLINK"),
            PacketType.EXTENDED: extensions.prepare,
        }

    def prepare(self, kind: int, request_id: int, fields: FieldReader) -> Request | TransferRequest:
        """Parse a request.

        Raises BadMessage: if fields are missing; Unsupported: if the type is unknown; StorageError: if a path
        or handle is invalid.
        """
        prepare = self._prepare.get(kind)
        if prepare is None:
            raise Unsupported(f"unknown request type {kind}")
        return prepare(request_id, fields)

    # ── files ───────────────────────────────────────────────────────────────────────────────────────

    def _open(self, request_id: int, fields: FieldReader) -> Request:
        path = VirtualPath.parse(fields.string())
        flags = OpenFlag(fields.u32() & 0x3F)
        attributes = read_attributes(fields) if fields.left else None
        writes = OpenFlag.WRITE in flags or OpenFlag.APPEND in flags
        if not writes and OpenFlag.READ not in flags:
            raise InvalidRequest("neither reading nor writing was asked for")

        async def run() -> bytes:
            with self._handles.reserve(directory=False):
                opened = await self._open_file(path, flags, attributes, writes=writes)
            handle = self._handles.add(path, opened)
            return packet(PacketType.HANDLE, request_id, string(handle.wire))

        return Request(request_id, "OPEN", run, (on_path(path, exclusive=writes),), path)

    async def _open_file(
        self, path: VirtualPath, flags: OpenFlag, new: NewAttributes | None, *, writes: bool
    ) -> OpenReader | OpenWriter:
        if not writes:
            return await self._files.open_reader(path)
        mode = WriteMode(
            exclusive=OpenFlag.EXCL in flags and OpenFlag.CREAT in flags,
            truncate=OpenFlag.TRUNC in flags,
            append=OpenFlag.APPEND in flags,
            create=OpenFlag.CREAT in flags,
        )
        return await self._files.open_writer(path, mode, readable=OpenFlag.READ in flags, new=new)

    def _close(self, request_id: int, fields: FieldReader) -> Request:
        handle = self._handles.find(fields.view())
        handle.closing = True
        opened = handle.opened
        claims = [on_handle(handle, exclusive=True)]
        if isinstance(opened, OpenWriter):
            claims += [on_path(path, exclusive=True) for path in (handle.path, *handle.may_become)]

        async def run() -> bytes:
            try:
                await opened.close()
            finally:
                self._handles.remove(handle)
                self._unlisted.pop(handle.number, None)
            return ok_packet(request_id)

        commits = isinstance(opened, OpenWriter)
        return Request(request_id, "CLOSE", run, tuple(claims), handle.path, handle=handle, commits=commits)

    def _read(self, request_id: int, fields: FieldReader) -> Request | TransferRequest:
        handle = self._handles.find(fields.view())
        opened = handle.opened
        offset = _checked(fields.u64())
        length = min(fields.u32(), self._options.max_read_bytes)
        if isinstance(opened, OpenReader):
            return ReadRequest(request_id, handle, opened, offset, length)

        async def run() -> Answer:
            if not isinstance(opened, OpenWriter):
                raise InvalidRequest("not a file handle")
            return data_answer(request_id, [memoryview(await opened.read(offset, length))], length)

        claims = (on_handle(handle, exclusive=True),)
        return Request(request_id, "READ", run, claims, handle.path, handle=handle, answer_bytes=length)

    def _write(self, request_id: int, fields: FieldReader) -> Request | TransferRequest:
        handle = self._handles.find(fields.view())
        opened = handle.opened
        offset = _checked(fields.u64())
        data = fields.view()  # fields after it are ignored: some clients send more
        if isinstance(opened, OpenWriter):
            return WriteRequest(request_id, handle, opened, offset, data)

        async def run() -> bytes:
            raise PermissionDenied("the file is not open for writing")

        claims = (on_handle(handle, exclusive=True),)
        return Request(request_id, "WRITE", run, claims, handle.path, handle=handle)

    # ── attributes ──────────────────────────────────────────────────────────────────────────────────

    def _stat(self, name: str, request_id: int, fields: FieldReader) -> Request:
        path = VirtualPath.parse(fields.string())

        async def run() -> bytes:
            return packet(
                PacketType.ATTRS, request_id, ClientAttributes(await self._files.stat(path)).encoded()
            )

        return Request(request_id, name, run, (on_path(path, exclusive=False),), path)

    def _fstat(self, request_id: int, fields: FieldReader) -> Request:
        handle = self._handles.find(fields.view())
        opened = handle.opened

        async def run() -> bytes:
            info = opened.info if isinstance(opened, OpenReader) else None
            if isinstance(opened, OpenWriter):
                info = await opened.stat()
            if info is None:
                info = await self._files.stat(handle.path)
            return packet(PacketType.ATTRS, request_id, ClientAttributes(info).encoded())

        claims = (on_handle(handle, exclusive=isinstance(opened, OpenWriter)),)
        return Request(request_id, "FSTAT", run, claims, handle.path, handle=handle)

    def _setstat(self, request_id: int, fields: FieldReader) -> Request:
        path = VirtualPath.parse(fields.string())
        new = read_attributes(fields)

        async def run() -> bytes:
            await self._files.set_attributes(path, new)
            return ok_packet(request_id)

        return Request(request_id, "SETSTAT", run, (on_path(path, exclusive=True),), path, changes=True)

    def _fsetstat(self, request_id: int, fields: FieldReader) -> Request:
        handle = self._handles.find(fields.view())
        opened = handle.opened
        new = read_attributes(fields)

        async def run() -> bytes:
            if isinstance(opened, OpenWriter):
                await opened.set_attributes(new.size, *self._files.storable(new, opened.place))
            elif new.size is not None:
                raise PermissionDenied("the file is not open for writing")
            else:
                await self._files.set_attributes(handle.path, new)
            return ok_packet(request_id)

        claims = [on_handle(handle, exclusive=True)]
        if not isinstance(opened, OpenWriter):  # the request changes what is stored
            claims.append(on_path(handle.path, exclusive=True))
        return Request(request_id, "FSETSTAT", run, tuple(claims), handle.path, handle=handle)

    # ── directories ─────────────────────────────────────────────────────────────────────────────────

    def _opendir(self, request_id: int, fields: FieldReader) -> Request:
        path = VirtualPath.parse(fields.string())

        async def run() -> bytes:
            with self._handles.reserve(directory=True):
                listing = await self._files.open_dir(path)
            return packet(PacketType.HANDLE, request_id, string(self._handles.add(path, listing).wire))

        return Request(request_id, "OPENDIR", run, (on_entries(path),), path)

    def _readdir(self, request_id: int, fields: FieldReader) -> Request:
        handle = self._handles.find(fields.view())
        listing = handle.opened

        async def run() -> bytes:
            if not isinstance(listing, OpenDirectory):
                raise InvalidRequest("not a directory handle")
            entries = self._unlisted.pop(handle.number, [])
            while not entries:
                page = await listing.next_page()
                if page is None:
                    return status_packet(request_id, Status.EOF)
                entries = list(page)
            return self._names_answer(request_id, handle, entries)

        claims = (on_handle(handle, exclusive=True),)
        return Request(
            request_id, "READDIR", run, claims, handle.path, handle=handle, answer_bytes=_NAMES_BYTES
        )

    def _names_answer(self, request_id: int, handle: Handle, entries: list[Entry]) -> bytes:
        """A NAME answer with as many entries as fit. The rest of the page is kept for the next READDIR."""
        now, user = time.time(), self._files.session.user
        encoded: list[bytes] = []
        size = 0
        for entry in entries:
            encoded.append(name_entry(entry.name, entry.info, user, now))
            size += len(encoded[-1])
            if size >= _NAMES_BYTES:
                break
        if len(encoded) < len(entries):
            self._unlisted[handle.number] = entries[len(encoded) :]
        return packet(PacketType.NAME, request_id, u32(len(encoded)), *encoded)

    def _mkdir(self, request_id: int, fields: FieldReader) -> Request:
        path = VirtualPath.parse(fields.string())
        if fields.left:
            self._files.count_ignored(read_attributes(fields))

        async def run() -> bytes:
            await self._files.make_dir(path)
            return ok_packet(request_id)

        claims = [on_path(path, exclusive=True)]
        if path.parent.names:  # the parent may exist only through its entries; the root always exists
            claims.append(on_entries(path.parent))
        return Request(request_id, "MKDIR", run, tuple(claims), path, changes=True)

    def _rmdir(self, request_id: int, fields: FieldReader) -> Request:
        path = VirtualPath.parse(fields.string())
        return self._change(request_id, "RMDIR", path, lambda: self._files.remove_dir(path))

    # ── names ───────────────────────────────────────────────────────────────────────────────────────

    def _remove(self, request_id: int, fields: FieldReader) -> Request:
        path = VirtualPath.parse(fields.string())
        return self._change(request_id, "REMOVE", path, lambda: self._files.remove(path))

    def _rename(self, request_id: int, fields: FieldReader) -> Request:
        source, target = VirtualPath.parse(fields.string()), VirtualPath.parse(fields.string())
        return rename_request(
            self._files, self._handles, request_id, "RENAME", source, target, overwrite=False
        )

    def _realpath(self, request_id: int, fields: FieldReader) -> Request:
        path = VirtualPath.parse(fields.string())

        async def run() -> bytes:
            return name_answer(request_id, path)

        return Request(request_id, "REALPATH", run, (), path)

    def _no_links(self, name: str, request_id: int, fields: FieldReader) -> Request:
        path = VirtualPath.parse(fields.string())

        async def run() -> bytes:
            raise Unsupported("object storage has no symbolic links")

        return Request(request_id, name, run, (), path)

    def _change(
        self, request_id: int, name: str, path: VirtualPath, change: Callable[[], Awaitable[None]]
    ) -> Request:
        async def run() -> bytes:
            await change()
            return ok_packet(request_id)

        return Request(request_id, name, run, (on_path(path, exclusive=True),), path, changes=True)


def _checked(offset: int) -> int:
    """Check an offset, which SFTP sends as 64 bits unsigned. Raises InvalidRequest: if it is 2⁶³ or more."""
    if offset >= _MAX_OFFSET:
        raise InvalidRequest("offset too large")
    return offset
