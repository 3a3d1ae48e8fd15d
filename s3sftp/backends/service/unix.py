"""Runs any `Backend` object as a service in a process of its own, behind a Unix socket.

    asyncio.run(serve_unix("/run/notes/socket", Notes()))

Each connection (`ServiceConnection`) belongs to one server. Each of its requests is handled in a task of its
own.
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
from typing import Any

from s3sftp.backends.capabilities import backend_name
from s3sftp.backends.contract import Backend
from s3sftp.backends.service import codecs, wire
from s3sftp.backends.service.dispatcher import Dispatcher
from s3sftp.backends.service.framing import (
    STREAM_BYTES,
    FrameStream,
    FrameTooLong,
    MalformedMessage,
    require_msgpack,
)
from s3sftp.backends.service.handshake import ServerHello, ServiceHello, callbacks_of
from s3sftp.errors import InvalidRequest, NoSpace, StorageError, StorageFailure
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.service")
_HELLO_SECONDS = 10.0


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


class ServiceConnection:
    """One connected server, until it disconnects or sends something that cannot be decoded."""

    def __init__(self, stream: FrameStream, backend: Backend, hello: ServiceHello, at_once: int) -> None:
        self._stream = stream
        self._hello = hello
        self._answers = Dispatcher(backend)
        self._slots = asyncio.Semaphore(at_once)
        self._running: dict[int, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Answer requests until the connection ends; then cancel the work in progress and abort the
        uploads."""
        try:
            async with asyncio.timeout(_HELLO_SECONDS):
                await self._greet()
            await self._receive()
        except (MalformedMessage, TimeoutError) as error:
            _log.warning(
                "service.client_rejected", detail=str(error) or f"no hello within {_HELLO_SECONDS:g} s"
            )
        except OSError as error:
            _log.debug("service.client_disconnected", detail=str(error))
        except Exception as error:
            _log.error("service.connection_failed", exc_info=error)
        finally:
            self._stream.close()
            await self._answers.end()

    async def _greet(self) -> None:
        given = await self._stream.receive()
        if given is None:
            raise ConnectionResetError("gone before a hello")
        await self._stream.send(self._hello.to_map())  # even to an unknown peer, to identify ourselves
        server = ServerHello.of(given)
        self._stream.max_received_bytes = self._hello.max_frame_bytes
        self._stream.max_sent_bytes = min(self._hello.max_frame_bytes, server.max_frame_bytes)

    async def _receive(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                while (request := await self._stream.receive()) is not None:
                    self._handle_request(request, tasks)
                raise ConnectionResetError("hung up")  # cancels the work in progress
        except* (MalformedMessage, OSError) as errors:
            raise errors.exceptions[0] from None

    def _handle_request(self, request: dict[str, Any], tasks: asyncio.TaskGroup) -> None:
        if "cancel" in request:
            unwanted = self._running.get(codecs.natural(request["cancel"]))
            if unwanted is not None:
                unwanted.cancel()
            return
        number = codecs.natural(request.get("id"))
        if number in self._running:
            raise MalformedMessage(f"a second request {number} before the answer to the first")
        task = tasks.create_task(self._answer(number, request))
        self._running[number] = task
        task.add_done_callback(lambda _: self._running.pop(number, None))

    async def _answer(self, number: int, request: dict[str, Any]) -> None:
        async with self._slots:
            reply = await self._reply(number, request)
        with contextlib.suppress(OSError):  # the receiving task notices it too
            try:
                await self._stream.send(reply)
            except FrameTooLong as error:
                too_long = NoSpace("file too large for this storage", detail=str(error))
                await self._stream.send(wire.encode_error(number, too_long))
            except (TypeError, ValueError, OverflowError) as error:  # the value cannot be encoded
                _log.error("service.reply_invalid", operation=request.get("op"), exc_info=error)
                await self._stream.send(
                    wire.encode_error(number, StorageFailure(detail=f"bad answer: {error}"))
                )

    async def _reply(self, number: int, request: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = await self._answers.answer(wire.decode_request(request))
            return wire.encode_answer(number, answer)
        except MalformedMessage as error:
            return wire.encode_error(number, InvalidRequest(detail=str(error)))
        except Exception as error:
            if not isinstance(error, StorageError | OSError):
                _log.error("service.request_failed", operation=request.get("op"), exc_info=error)
            return wire.encode_error(number, error)
