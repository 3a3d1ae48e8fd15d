"""The server's end of one connection to a service in another process.

Requests are numbered, and answers come in any order. A call that is given up, because its client is gone or
its deadline has passed, is cancelled at the service. When the connection ends every pending call fails at
once.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from opentelemetry.trace import SpanKind

from s3sftp.backends.service import codecs, wire
from s3sftp.backends.service.framing import STREAM_BYTES, FrameStream, FrameTooLong, MalformedMessage
from s3sftp.backends.service.handshake import ServerHello, ServiceHello
from s3sftp.backends.service.messages import Message, UploadStarted, WriteFile
from s3sftp.backends.service.options import ServiceOptions
from s3sftp.backends.service.stub import Caller
from s3sftp.errors import NoSpace, StorageFailure, TimedOut
from s3sftp.runtime.cancellation import cancel_and_wait
from s3sftp.telemetry import get_logger, span

_log = get_logger("s3sftp.service")
_FRAME_OVERHEAD = 64 << 10
"""Bytes of a frame that are reserved for everything besides file contents."""


class ServiceUnavailable(StorageFailure):
    """The service does not answer at present."""

    default_text = "storage service is not there"


class ProtocolMismatch(StorageFailure):
    """The peer does not speak the protocol: it has another version, or is something else altogether."""

    default_text = "storage service is not understood"

    def __init__(self, *, detail: str | None) -> None:
        super().__init__(detail=detail, lasting=True)


class ServiceClient(Caller):
    """A connection after both hellos. It ends with the service or by `close`, and then sets `ended`."""

    def __init__(self, stream: FrameStream, hello: ServiceHello, options: ServiceOptions) -> None:
        self.hello = hello
        self.ended = asyncio.Event()
        self.reason = "closed"
        """Why it ended, for the log."""
        self._stream = stream
        self._limits = {
            False: options.call_timeout.total_seconds(),
            True: options.transfer_timeout.total_seconds(),
        }
        self._slots = asyncio.Semaphore(options.max_calls)
        self._numbers = itertools.count(1)
        self._last_number = 0
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, options: ServiceOptions) -> ServiceClient:
        """Connect and exchange hellos.

        Raises ServiceUnavailable: if there is no service.
        Raises ProtocolMismatch: if the peer does not speak the protocol.
        """
        limit = options.connect_timeout.total_seconds()
        try:
            async with asyncio.timeout(limit):
                stream = FrameStream(*await asyncio.open_unix_connection(options.socket, limit=STREAM_BYTES))
                try:
                    return await cls._greet(stream, options)
                except BaseException:
                    stream.close()
                    raise
        except TimeoutError as error:
            raise ServiceUnavailable(detail=f"{options.socket}: no answer within {limit:g} s") from error
        except OSError as error:
            raise ServiceUnavailable(detail=f"{options.socket}: {error.strerror or error}") from error
        except MalformedMessage as error:
            raise ProtocolMismatch(detail=f"{options.socket}: {error}") from error

    @classmethod
    async def _greet(cls, stream: FrameStream, options: ServiceOptions) -> ServiceClient:
        await stream.send(ServerHello(options.max_frame_bytes).to_map())
        given = await stream.receive()
        if given is None:
            raise ServiceUnavailable(detail=f"{options.socket}: hung up without a hello")
        hello = ServiceHello.of(given)
        stream.max_received_bytes = options.max_frame_bytes
        stream.max_sent_bytes = min(options.max_frame_bytes, hello.max_frame_bytes)
        return cls(stream, hello, options)

    async def call(self, message: Message) -> object:
        """As `Caller.call`."""
        limit = self._limits[message.takes_long]
        with span(f"storage service {message.operation}", kind=SpanKind.CLIENT):
            try:
                async with asyncio.timeout(limit), self._slots:
                    answer = await self._ask(message)
            except TimeoutError as error:
                raise TimedOut(detail=f"no answer to {message.operation} within {limit:g} s") from error
        value = wire.decode_answer(answer, message)
        return self._fitting(value) if isinstance(value, UploadStarted) else value

    def post(self, message: Message) -> None:
        """As `Caller.post`."""
        if not self.ended.is_set():
            self._stream.post(wire.encode_request(self._next_number(), message))

    async def close(self) -> None:
        """Close the connection; the service aborts what has begun."""
        self._end("closed")
        await cancel_and_wait(self._reading)
        await self._stream.closed()

    async def _ask(self, message: Message) -> dict[str, Any]:
        if self.ended.is_set():
            raise self._gone()
        number = self._next_number()
        try:
            await self._stream.send(wire.encode_request(number, message))
        except FrameTooLong as error:
            raise _too_long(message, error) from error
        except OSError as error:
            self._end(f"cannot be written to: {error.strerror or error}")
            raise self._gone() from error
        waiting: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        try:
            return await waiting
        finally:
            self._waiting.pop(number, None)
            if waiting.cancelled():  # together with its task
                self._stream.post({"cancel": number})

    async def _read(self) -> None:
        reason = "hung up"
        try:
            while (answer := await self._stream.receive()) is not None:
                self._handle_answer(answer)
        except MalformedMessage as error:
            reason = str(error)
            _log.error("service.message_invalid", service=self.hello.name, detail=reason)
        finally:
            self._end(reason)

    def _handle_answer(self, answer: dict[str, Any]) -> None:
        number = codecs.natural(answer.get("id"))
        if number > self._last_number:
            raise MalformedMessage(f"an answer to {number}, which was not asked")
        waiting = self._waiting.pop(number, None)
        if waiting is not None and not waiting.done():  # otherwise the answer is late, and discarded
            waiting.set_result(answer)

    def _end(self, reason: str) -> None:
        if self.ended.is_set():
            return
        self.reason = reason
        self.ended.set()
        self._stream.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(self._gone())

    def _gone(self) -> ServiceUnavailable:
        return ServiceUnavailable(detail=f"the connection to {self.hello.name} ended: {self.reason}")

    def _next_number(self) -> int:
        self._last_number = next(self._numbers)
        return self._last_number

    def _fitting(self, begun: UploadStarted) -> UploadStarted:
        """The chunk sizes of an upload, if they fit in frames."""
        most = self._stream.max_sent_bytes - _FRAME_OVERHEAD
        if begun.chunk_bytes > most:
            raise StorageFailure(
                detail=f"the service wants chunks of {begun.chunk_bytes} bytes, and frames have {most}"
            )
        return begun


def _too_long(message: Message, error: FrameTooLong) -> StorageFailure | NoSpace:
    if isinstance(message, WriteFile):
        hint = "larger files need a service that has begin_write, write_chunk, finish_write and abort_write"
        return NoSpace("file too large for this storage", detail=f"{error}; {hint}")
    return StorageFailure(detail=f"{message.operation}: {error}")
