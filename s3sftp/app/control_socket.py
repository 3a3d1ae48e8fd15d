"""The control socket: how an operator on the same machine sees and changes what a running server remembers.

    s3sftp bans ──► <state_dir>/control.sock, mode 0600 ──► one line of JSON, one line back, closed

It is no part of the admin port, which anybody may reach who may read metrics. The system lets only the
server's own user and root connect, and the server asks it again who has connected.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from s3sftp.errors import InvalidRequest, S3sftpError
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.app")
NAME = "control.sock"
_MAX_ADDRESS_BYTES = 107
"""Maximum length of a socket's path (unix(7))."""
_MAX_BYTES = 4096
"""Maximum size of a request."""
_MAX_ANSWER_BYTES = 64 << 20
_MAX_CONNECTIONS = 4
_SECONDS = 5.0
"""Maximum duration of a request, with its answer."""
Answer = Callable[[object], Awaitable[Mapping[str, Any]]]
"""Answers a request. Raises S3sftpError: if it is refused; the text says why."""


class CannotControl(S3sftpError):
    """The running server cannot be reached, or refuses the request."""


@asynccontextmanager
async def control_socket(state_dir: Path, answer: Answer) -> AsyncIterator[None]:
    """Answer requests while the context is open. If there can be no socket, the log says why, and the server
    does without."""
    try:
        sock, identity = await asyncio.to_thread(_listen, state_dir)
    except OSError as error:
        _log.warning(
            "control.unavailable",
            path=str(state_dir / NAME),
            error=error.strerror or str(error),
            detail="`s3sftp bans` cannot reach this server: server.state_dir should be a directory that it"
            " can write to, and that no other running server uses",
        )
        yield
        return
    connections = _Connections(answer)
    server = await asyncio.start_unix_server(connections.serve, sock=sock, limit=_MAX_BYTES)
    try:
        yield
    finally:
        server.close()
        await connections.close()
        await asyncio.to_thread(_remove, state_dir / NAME, identity)


def ask(state_dir: Path, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Send a request to the server with this state directory. Blocking.

    Raises CannotControl: if no server answers, or it refuses.
    """
    path = state_dir / NAME
    try:
        with socket.socket(socket.AF_UNIX) as sock, _address(path) as address:
            sock.settimeout(_SECONDS)
            sock.connect(address)
            sock.sendall(json.dumps(request).encode() + b"\n")
            with sock.makefile("rb") as stream:
                found = json.loads(stream.readline(_MAX_ANSWER_BYTES))
    except PermissionError:
        raise CannotControl(f"{path}: only the user that the server runs as, or root, may ask it") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or "it closed without an answer"
        raise CannotControl(
            f"no server answers at {path}: {reason}; a server that runs has another server.state_dir, or"
            " cannot write to it: then its log has the event control.unavailable"
        ) from None
    if "error" in found:
        raise CannotControl(str(found["error"]))
    return dict(found)


class _Connections:
    """The connections to the socket, of which there are few."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._tasks) >= _MAX_CONNECTIONS or not _is_trusted(writer):
            writer.transport.abort()
            return
        self._tasks.add(task)
        try:
            async with asyncio.timeout(_SECONDS):
                writer.write(json.dumps(await self._respond(await reader.readline())).encode() + b"\n")
                await writer.drain()
        except (
            OSError,
            ValueError,
            asyncio.CancelledError,
        ):  # gone, too slow or too long; or the server stops
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _respond(self, line: bytes) -> Mapping[str, Any]:
        try:
            try:
                request = json.loads(line)
            except ValueError:
                raise InvalidRequest("the request should be a line of JSON") from None
            return await self._answer(request)
        except S3sftpError as error:
            return {"error": str(error)}
        except Exception:
            _log.exception("control.request_failed")
            return {"error": "the server could not answer this; its log says why"}


def _is_trusted(writer: asyncio.StreamWriter) -> bool:
    """Whether the peer is the server's own user, or root. The mode of the socket says so too."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    credentials = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return uid in (0, os.geteuid())


def _listen(state_dir: Path) -> tuple[socket.socket, tuple[int, int]]:
    """A listening socket, and what identifies its file.

    Raises OSError: if it cannot be made, or another server listens there.
    """
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = state_dir / NAME
    sock = socket.socket(socket.AF_UNIX)
    try:
        with _address(path) as address:
            _remove_stale(path, address)
            sock.bind(address)
        # nobody can connect before `listen`
        path.chmod(0o600)
        sock.listen(_MAX_CONNECTIONS)
        sock.setblocking(False)
        found = path.lstat()
    except BaseException:
        sock.close()
        raise
    return sock, (found.st_dev, found.st_ino)


def _remove_stale(path: Path, address: str) -> None:
    """Remove the socket of a server that has been killed.

    Raises OSError: if a server listens there, or the file is no socket.
    """
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise FileExistsError(None, "a file that is no socket has this name")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_SECONDS)
        try:
            probe.connect(address)
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise FileExistsError(None, "another server listens there")


def _remove(path: Path, identity: tuple[int, int]) -> None:
    """Remove the socket, unless a later server has put its own there."""
    with contextlib.suppress(OSError):
        found = path.lstat()
        if (found.st_dev, found.st_ino) == identity:
            path.unlink()


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """The path as a socket's address, which must be short: if it is not, by way of an open directory."""
    if len(os.fsencode(path)) <= _MAX_ADDRESS_BYTES:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
