"""A storage service for s3sftp that does not need s3sftp: files in a directory, served to whoever connects.

    python storage_service.py SOCKET DIRECTORY

`docs/backend-service.md` has the protocol on one page. Each method `do_…` is an operation; it runs in a
thread and answers with what it returns, or with the name of its OSError.
"""

import asyncio
import errno
import os
import shutil
import stat
import struct
import sys
import tempfile

import msgpack

HELLO = {
    "hello": "s3sftp-storage",
    "version": 1,
    "max_frame_bytes": 16 << 20,
    "service": "directory",
    "callbacks": ["read_file_range", "begin_write", "write_chunk", "finish_write", "abort_write"],
}
PAGE_ENTRIES = 1000
PIECE_BYTES = 1 << 20


def raise_error(number, text):
    raise OSError(number, text)


def info_of(path):
    found = os.stat(path, follow_symlinks=False)
    if stat.S_ISDIR(found.st_mode):
        return {"kind": "directory", "mtime": found.st_mtime}
    version = f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}"
    return {"kind": "file", "size": found.st_size, "mtime": found.st_mtime, "version": version}


def version_of(path):
    return info_of(path).get("version") if os.path.exists(path) else None


class Storage:
    """What one connection asks for, and the uploads that it has begun."""

    def __init__(self, root):
        self.root = os.fsencode(root)
        self.unfinished = self.root + b".unfinished"
        self.uploads = {}

    def path(self, place):
        """Places are names joined by slashes: never `..`, nor a slash in front, so they lead nowhere else."""
        return os.path.join(self.root, place)

    def new_path(self, place):
        try:
            os.makedirs(os.path.dirname(self.path(place)), exist_ok=True)
        except FileExistsError:
            raise_error(errno.ENOTDIR, "a name above is a file's")
        return self.path(place)

    def do_file_info(self, place, **_):
        try:
            return info_of(self.path(place))
        except NotADirectoryError:  # below a file there is nothing
            raise_error(errno.ENOENT, "nothing there")

    def do_list_dir(self, place, cursor, **_):
        """The cursor is the last name of the page before: nothing has to be kept for it."""
        names = [name for name in sorted(os.listdir(self.path(place))) if cursor is None or name > cursor]
        page = names[:PAGE_ENTRIES]
        entries = [{"name": name, **info_of(os.path.join(self.path(place), name))} for name in page]
        return {"entries": entries, "cursor": page[-1] if len(names) > len(page) else None}

    def do_make_dir(self, place, **_):
        os.mkdir(self.new_path(place))

    def do_del_dir(self, place, **_):
        os.rmdir(self.path(place))

    def do_delete(self, place, **_):
        os.unlink(self.path(place))

    def do_rename(self, source, target, overwrite, **_):
        kind = info_of(self.path(source))["kind"]
        if target.startswith(source + b"/"):
            raise_error(errno.EINVAL, "the target is inside the source")
        if os.path.lexists(self.path(target)) and (
            not overwrite or "directory" in (kind, info_of(self.path(target))["kind"])
        ):
            raise_error(errno.EEXIST, "the target exists")
        os.rename(self.path(source), self.new_path(target))

    def do_read_file(self, place, **_):
        if os.path.getsize(self.path(place)) > HELLO["max_frame_bytes"] // 2:
            raise_error(errno.EFBIG, "to be read in pieces")
        with open(self.path(place), "rb") as file:
            return file.read()

    def do_read_file_range(self, place, start, stop, version, **_):
        with open(self.path(place), "rb") as file:
            if version not in (None, version_of(self.path(place))):
                raise_error(errno.ESTALE, "another version")
            file.seek(start)
            return file.read(stop - start)

    def do_write_file(self, place, data, **_):
        upload = object()
        try:
            self.do_begin_write(place, {}, upload)
            return self.do_finish_write(upload, data, {"size": len(data)})
        finally:
            self.do_abort_write(upload)

    def do_begin_write(self, place, intent, upload, **_):
        if os.path.isdir(self.path(place)):
            raise_error(errno.EISDIR, "a directory")
        file = tempfile.NamedTemporaryFile(dir=self.unfinished, delete=False)  # noqa: SIM115 — until the end
        self.uploads[upload] = (file, place, intent)
        return {"chunk_bytes": PIECE_BYTES}

    def do_write_chunk(self, upload, data, **_):
        self.uploads[upload][0].write(data)

    def do_finish_write(self, upload, tail, finish, **_):
        file, place, intent = self.uploads[upload]
        file.write(tail)
        file.flush()
        if file.tell() != finish["size"]:
            raise_error(errno.EIO, f"{file.tell()} bytes came of {finish['size']}")
        if finish.get("mtime") is not None:
            os.utime(file.name, (finish["mtime"], finish["mtime"]))
        os.fsync(file.fileno())
        base = intent.get("base") if finish.get("base_kept") else None
        if base and base["version"] != version_of(self.path(place)):
            raise_error(errno.ESTALE, "the file has changed")
        publish = os.link if intent.get("exclusive") else os.replace
        publish(file.name, self.new_path(place))
        info = info_of(self.path(place))
        self.do_abort_write(upload)
        return info

    def do_abort_write(self, upload, **_):
        if upload in self.uploads:
            file = self.uploads.pop(upload)[0]
            file.close()
            if os.path.exists(file.name):
                os.unlink(file.name)

    def close(self):
        for upload in list(self.uploads):
            self.do_abort_write(upload)


async def receive(reader):
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    return msgpack.unpackb(await reader.readexactly(length))


async def send(writer, message):
    frame = msgpack.packb(message)
    writer.write(struct.pack(">I", len(frame)) + frame)
    await writer.drain()


async def answer(storage, writer, request):
    operation = getattr(storage, f"do_{request['op']}", None)
    try:
        if operation is None:
            raise_error(errno.ENOSYS, request["op"])
        reply = {"ok": await asyncio.to_thread(operation, **request)}
    except Exception as error:
        number = getattr(error, "errno", None)
        reply = {"error": errno.errorcode.get(number, "EIO"), "detail": str(error)}
    await send(writer, {"id": request["id"], **reply})


async def serve(root, reader, writer):
    """One connection: requests are answered as they come, each by a task; what is given up is cancelled."""
    storage, tasks = Storage(root), {}
    try:
        if (await receive(reader)).get("version") == HELLO["version"]:
            await send(writer, HELLO)
            while True:
                request = await receive(reader)
                if "cancel" in request:
                    if task := tasks.get(request["cancel"]):
                        task.cancel()
                else:
                    number = request["id"]
                    tasks[number] = task = asyncio.create_task(answer(storage, writer, request))
                    task.add_done_callback(lambda _, number=number: tasks.pop(number, None))
    except (asyncio.IncompleteReadError, OSError):
        pass  # hung up
    finally:
        for task in list(tasks.values()):
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        storage.close()
        writer.close()


async def main(socket, root):
    shutil.rmtree(f"{root}.unfinished", ignore_errors=True)  # of a service that was killed
    os.mkdir(f"{root}.unfinished")
    before = os.umask(0o177)  # the socket is for this user alone
    server = await asyncio.start_unix_server(
        lambda reader, writer: serve(root, reader, writer), socket, limit=1 << 18
    )
    os.umask(before)
    try:
        await asyncio.Event().wait()
    finally:
        server.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
