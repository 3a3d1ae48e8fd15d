"""The service's end of one connection: handles each request in a task of its own."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from s3sftp.backends.contract import Backend
from s3sftp.backends.service import codecs, wire
from s3sftp.backends.service.dispatcher import Dispatcher
from s3sftp.backends.service.framing import FrameStream, FrameTooLong
from s3sftp.backends.service.handshake import ServerHello, ServiceHello
from s3sftp.backends.service.packing import MalformedMessage
from s3sftp.errors import InvalidRequest, NoSpace, StorageError, StorageFailure
from s3sftp.runtime.cancellation import StrayCancellationGuard
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.service")
_HELLO_SECONDS = 10.0
_cancelled_is_failed = StrayCancellationGuard(
    lambda: StorageFailure(detail="the call was cancelled by something of its own")
)


class ServiceConnection:
    """One connected server, until it disconnects or sends something that cannot be decoded."""

    def __init__(self, stream: FrameStream, backend: Backend, hello: ServiceHello, at_once: int) -> None:
        self._stream = stream
        self._hello = hello
        self._answers = Dispatcher(backend)
        self._room = asyncio.Semaphore(at_once)
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
                    self._take(request, tasks)
                raise ConnectionResetError("hung up")  # cancels the work in progress
        except* (MalformedMessage, OSError) as errors:
            raise errors.exceptions[0] from None

    def _take(self, request: dict[str, Any], tasks: asyncio.TaskGroup) -> None:
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
        async with self._room:
            reply = await self._reply(number, request)
        with contextlib.suppress(OSError):  # the receiving task notices it too
            try:
                await self._stream.send(reply)
            except FrameTooLong as error:
                too_long = NoSpace("file too large for this storage", detail=str(error))
                await self._stream.send(wire.failure(number, too_long))
            except (TypeError, ValueError, OverflowError) as error:  # the value cannot be encoded
                _log.error("service.reply_invalid", operation=request.get("op"), exc_info=error)
                await self._stream.send(wire.failure(number, StorageFailure(detail=f"bad answer: {error}")))

    async def _reply(self, number: int, request: dict[str, Any]) -> dict[str, Any]:
        try:
            with _cancelled_is_failed:
                answer = await self._answers.answer(wire.message_in(request))
            return wire.answer(number, answer)
        except MalformedMessage as error:
            return wire.failure(number, InvalidRequest(detail=str(error)))
        except Exception as error:
            if not isinstance(error, StorageError | OSError):
                _log.error("service.request_failed", operation=request.get("op"), exc_info=error)
            return wire.failure(number, error)
