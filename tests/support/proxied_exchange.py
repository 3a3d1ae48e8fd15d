"""One request and its answer on their way through the fault proxy."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine

from testbed.request_log import Seen, headers_of
from tests.support import http_relay
from tests.support.faults import (
    Answer,
    CutBody,
    Delay,
    FlipReplyByte,
    FlipRequestByte,
    Foreign,
    Hold,
    HoldReply,
    LoseReply,
    Meanwhile,
    Reply,
    Reset,
    Rewrite,
    Rule,
    StallBody,
    Strip,
)
from tests.support.http_relay import Gone, Upstream, body_pieces, send

_KEPT_BODY = 1 << 20


class Exchange:
    """Passes one request on and its answer back, unless a rule says otherwise."""

    def __init__(
        self,
        seen: Seen,
        head: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream: Upstream,
        latency: float,
        bytes_per_second: float | None,
        *,
        anonymous: bool,
    ) -> None:
        self._seen = seen
        self._head = head
        self._reader = reader
        self._writer = writer
        self._upstream = upstream
        self._latency = latency
        self._bytes_per_second = bytes_per_second
        self._anonymous = anonymous
        self._rule: Rule | None = None

    async def run(self, rule: Rule | None) -> bool:
        """Do it; whether the client's connection can take another request."""
        self._rule = rule
        action = rule.action if rule else None
        if rule is not None:
            self._seen.fault = type(rule.action).__name__
            await rule.announce()
        if self._latency:
            await asyncio.sleep(self._latency)
        match action:
            case Reset():
                http_relay.reset(self._writer)
                return False
            case Answer(status, code, message, headers):
                await self._swallow_request()
                await self._answer(status, code, message, headers)
                return not http_relay.is_last(self._head)
            case Foreign(passed_on=False):
                await self._swallow_request()
                await self._answer_as(action)
                return not http_relay.is_last(self._head)
            case Delay(seconds):
                await asyncio.sleep(seconds)
            case Hold():
                await self._unless_gone(self._released())
            case Meanwhile(act):
                await act()
            case Strip(header):
                self._head = http_relay.without(self._head, header)
        return await self._forward(action)

    async def _released(self) -> None:
        if self._rule is not None:
            await self._rule.released()

    async def _unless_gone(self, waited: Coroutine[None, None, None]) -> None:
        """Wait for something; Gone when the client ends the connection before."""
        waiting = asyncio.create_task(waited)
        leaving = asyncio.create_task(self._client_left())
        try:
            done, _ = await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if waiting not in done:
                raise Gone
        finally:
            for task in (waiting, leaving):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _client_left(self) -> None:
        # A paused reader notices neither FIN nor RST: ask the kernel.
        while not http_relay.is_gone(self._writer):
            await asyncio.sleep(0.02)

    async def _swallow_request(self) -> None:
        if self._seen.headers.get("expect", "").lower() == "100-continue":
            await send(self._writer, b"HTTP/1.1 100 Continue\r\n\r\n")
        async for data, payload in body_pieces(self._reader, self._seen.headers):
            self._note_request(data, payload)

    def _note_request(self, data: bytes, payload: int) -> None:
        self._seen.bytes_in += payload
        if payload and self._seen.method == "POST" and len(self._seen.body) < _KEPT_BODY:
            self._seen.body += data

    async def _answer(
        self, status: int, code: str, message: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{code}</Code><Message>{message}</Message>"
            "<Resource>/secret-resource</Resource><RequestId>PROXY0000</RequestId></Error>"
        ).encode()
        extra = "".join(f"{name}: {value}\r\n" for name, value in headers)
        head = (
            f"HTTP/1.1 {status} Rule\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
            f"x-amz-request-id: PROXY0000\r\n{extra}\r\n"
        ).encode()
        self._seen.status = status
        await send(self._writer, head if self._seen.method == "HEAD" else head + body)

    async def _answer_as(self, foreign: Foreign) -> None:
        fields = "".join(f"{name}: {value}\r\n" for name, value in foreign.headers)
        chunked = any(name == "Transfer-Encoding" for name, _ in foreign.headers)
        length = "" if chunked else f"Content-Length: {len(foreign.body)}\r\n"
        head = f"HTTP/1.1 {foreign.status} Foreign\r\n{length}{fields}\r\n".encode()
        self._seen.status = foreign.status
        await send(self._writer, head if self._seen.method == "HEAD" else head + foreign.body)

    async def _answer_rewritten(self, reply: Reply) -> None:
        chunked = "transfer-encoding" in reply.headers
        fields = {name: value for name, value in reply.headers.items() if name != "connection"}
        if self._seen.method != "HEAD" and not chunked:
            fields["content-length"] = str(len(reply.body))
        head = f"HTTP/1.1 {reply.status} Rewritten\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        body = reply.body
        if chunked:
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        self._seen.status = reply.status
        await send(self._writer, f"{head}connection: close\r\n\r\n".encode("latin-1"))
        if self._seen.method != "HEAD":
            await send(self._writer, body)

    async def _forward(self, action: object) -> bool:
        reader, writer = await self._upstream.connected()
        await send(writer, self._head)
        sending = asyncio.create_task(self._send_body(writer, action))
        try:
            head = await self._final_head(reader)
            return await self._return_answer(head, reader, action, sending)
        finally:
            whole = sending.done() and not sending.cancelled() and sending.exception() is None
            if not whole:
                # The next request on either connection would start in the middle of this one's body.
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
                await self._upstream.close()

    async def _send_body(self, writer: asyncio.StreamWriter, action: object) -> None:
        flip = _flipper(action.at) if isinstance(action, FlipRequestByte) else None
        try:
            async for data, payload in body_pieces(self._reader, self._seen.headers):
                self._note_request(data, payload)
                await send(writer, flip(data) if flip and payload else data)
                await self._throttle(payload)
        except Gone:
            # The client left in the middle of its body: S3 must see that too, not wait for the rest.
            await self._upstream.close()
            raise

    async def _final_head(self, reader: asyncio.StreamReader) -> bytes:
        while True:
            head = await http_relay.read_head(reader)
            if http_relay.status_of(head) >= 200:
                return head
            await send(self._writer, head)

    async def _return_answer(
        self, head: bytes, reader: asyncio.StreamReader, action: object, sending: asyncio.Task[None]
    ) -> bool:
        headers = headers_of(head.decode("latin-1").split("\r\n")[1:])
        status = http_relay.status_of(head)
        bodyless = self._seen.method == "HEAD" or status in (204, 304)
        match action:
            case LoseReply() | Foreign():
                if not bodyless:
                    async for _ in body_pieces(reader, headers, until_close=True):
                        pass
                await asyncio.gather(sending, return_exceptions=True)
                if isinstance(action, Foreign):
                    await self._answer_as(action)
                else:
                    http_relay.reset(self._writer)
                return False
            case Rewrite(change):
                pieces = []
                if not bodyless:
                    pieces = [data async for data, _ in body_pieces(reader, headers, until_close=True)]
                await asyncio.gather(sending, return_exceptions=True)
                await self._answer_rewritten(change(Reply(status, headers, b"".join(pieces))))
                return False
            case HoldReply():
                self._seen.reply_held = True
                await self._unless_gone(self._released())
        self._seen.status = status
        await send(self._writer, http_relay.without(head, "server") if self._anonymous else head)
        if not bodyless and not await self._return_body(reader, headers, action):
            return False
        last = http_relay.is_last(head) or http_relay.is_last(self._head)
        framed = bodyless or "content-length" in headers or "transfer-encoding" in headers
        # An answer may come before the body was sent, when S3 refuses: then the connection is spent.
        return sending.done() and framed and not last

    async def _return_body(
        self, reader: asyncio.StreamReader, headers: dict[str, str], action: object
    ) -> bool:
        """Pass the answer's body on; false when the connection was cut."""
        flip = _flipper(action.at) if isinstance(action, FlipReplyByte) else None
        stop = action.after_bytes if isinstance(action, CutBody | StallBody) else None
        async for data, payload in body_pieces(reader, headers, until_close=True):
            if stop is not None and payload and self._seen.bytes_out + payload > stop:
                within = stop - self._seen.bytes_out
                await self._pass_on(data[:within], within)
                if isinstance(action, CutBody):
                    await self._cut(reset=action.reset)
                    return False
                await self._unless_gone(self._released())
                data, payload, stop = data[within:], payload - within, None
            await self._pass_on(flip(data) if flip and payload else data, payload)
        return True

    async def _pass_on(self, data: bytes, payload: int) -> None:
        self._seen.bytes_out += payload
        await send(self._writer, data)
        await self._throttle(payload)

    async def _cut(self, *, reset: bool) -> None:
        await self._upstream.close()
        if reset:
            # What was written should arrive first: RST discards what the kernel has not sent.
            await asyncio.sleep(0.05)
            http_relay.reset(self._writer)
        else:
            await http_relay.close(self._writer)

    async def _throttle(self, payload: int) -> None:
        if self._bytes_per_second and payload:
            await asyncio.sleep(payload / self._bytes_per_second)


def _flipper(at: int) -> Callable[[bytes], bytes]:
    """A function over the successive pieces of a body that inverts the lowest bit of byte `at`."""
    passed = 0

    def flip(data: bytes) -> bytes:
        nonlocal passed
        place = at - passed
        passed += len(data)
        if not 0 <= place < len(data):
            return data
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    return flip
