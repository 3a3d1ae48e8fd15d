"""Runs any `Backend` object as a service in a process of its own, behind a Unix socket.

asyncio.run(serve_unix("/run/notes/socket", Notes()))
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from s3sftp.backends.capabilities import backend_name
from s3sftp.backends.contract import Backend
from s3sftp.backends.service.callbacks import callbacks_of
from s3sftp.backends.service.connection import ServiceConnection
from s3sftp.backends.service.framing import STREAM_BYTES, FrameStream
from s3sftp.backends.service.handshake import ServiceHello
from s3sftp.backends.service.packing import require_msgpack


async def serve_unix(
    path: str | Path,
    backend: Backend,
    *,
    mode: int = 0o600,
    max_frame_bytes: int = 16 << 20,
    at_once: int = 256,
    listening: Callable[[], None] = lambda: None,
) -> None:
    """Start the backend, answer every server that connects, and stop the backend when cancelled, as by
    Ctrl-C.

    Each request is answered in a task of its own, so that none waits for another, with at most `at_once`
    tasks for each connection. Work is cancelled when its call is given up, and the uploads of a connection
    that ends are aborted. `mode` is the permissions of the socket; by default only the user who runs the
    service may connect. `listening` is called when the socket accepts connections.

    Raises ConfigurationError: if the object does not fit the contract.
    Raises OSError: if the socket cannot be opened.
    """
    require_msgpack()
    hello = _hello_of(backend, max_frame_bytes)
    try:
        await backend.start()
        with _socket_at(Path(path), mode) as bound:
            async with asyncio.TaskGroup() as connections:

                def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                    connection = ServiceConnection(FrameStream(reader, writer), backend, hello, at_once)
                    connections.create_task(connection.serve())

                server = await asyncio.start_unix_server(accept, sock=bound, limit=STREAM_BYTES)
                try:
                    listening()
                    await asyncio.get_running_loop().create_future()
                finally:
                    server.close()  # `wait_closed` would wait for connections, which end with the group
    finally:
        await backend.stop()


def _hello_of(backend: Backend, max_frame_bytes: int) -> ServiceHello:
    callbacks = callbacks_of(backend)
    first = getattr(backend, "first_chunk_bytes", None) if "begin_write" in callbacks else None
    return ServiceHello(max_frame_bytes, backend_name(backend), callbacks, first)


@contextlib.contextmanager
def _socket_at(path: Path, mode: int) -> Iterator[socket.socket]:
    """A bound socket that accepts no connection before it has its permissions. Its file is removed at the
    end."""
    _remove_dead_socket(path)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.fspath(path))
        ours = path.stat().st_ino
        path.chmod(mode)  # before it listens
        try:
            yield bound
        finally:
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_ino == ours:
                    path.unlink()


def _remove_dead_socket(path: Path) -> None:
    """Remove the socket of a process that has ended, if that is what the path names."""
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise FileExistsError(errno.EEXIST, "what is there is no socket", os.fspath(path))
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, "another service listens there", os.fspath(path))
