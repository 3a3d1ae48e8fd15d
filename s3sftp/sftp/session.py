"""One SFTP session: bytes in from the channel, requests run in order or at once, bytes out.

    data_received ─► Inbox ─► Operations.prepare ─► Schedule ─► task ─► answer ─► outbox ─► channel
                      │            READ and WRITE that need not wait skip the task ─┘
                      └ stops here while too much runs or waits to be sent, and stops reading

Bounded: requests that run, bytes of answers that wait, handles. When the session ends, however it comes,
open uploads are aborted, directories closed, tasks cancelled and awaited; a failing step never stops the
next.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable

import asyncssh

from s3sftp.errors import StorageError
from s3sftp.fs import FileSystem, Listing, OpenReader, OpenWriter
from s3sftp.sftp.codec import PACKET_OVERHEAD, BadMessage, BadPacket, Fields, Inbox, Type, version_packet
from s3sftp.sftp.extensions import ANNOUNCED
from s3sftp.sftp.handles import Handle, Handles
from s3sftp.sftp.operations import Operations, data_answer
from s3sftp.sftp.options import SftpOptions
from s3sftp.sftp.request import Request
from s3sftp.sftp.schedule import Schedule, Ticket
from s3sftp.sftp.status import Status, error_packet, ok_packet, status_packet
from s3sftp.telemetry import Costs, charged_to, get_logger, span

_log = get_logger(__name__)

_JOIN_BYTES = 16 * 1024
"""Answers shorter than this leave together."""


class SftpSession(asyncssh.SSHServerSession[bytes]):
    """The `sftp` subsystem on one channel. Returned from `session_requested`, with `encoding=None`."""

    def __init__(self, files: FileSystem, options: SftpOptions) -> None:
        self._files = files
        self._options = options
        self._handles = Handles(options.max_handles)
        self._operations = Operations(files, self._handles, options)
        self._inbox = Inbox(max(options.max_read_bytes, options.max_write_bytes) + PACKET_OVERHEAD)
        self._schedule = Schedule()
        self._waiting: dict[Ticket, Request] = {}
        self._tasks: dict[asyncio.Task[None], Request] = {}
        self._outbox: deque[bytes] = deque()
        self._outbox_bytes = 0
        self._reserved_bytes = 0
        self._received_bytes = 0
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._channel_full = False
        self._transport_full = False
        self._reading_paused = False
        self._pumping = False
        self._initialized = False
        self._input_ended = False
        self._ending: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._last_moved = 0.0

    # ── what asyncssh calls ─────────────────────────────────────────────────────────────────────────

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan
        self._touch()
        self._schedule_watch()

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == "sftp"

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if self._ending is not None:
            return
        if datatype is not None:
            self._end_soon("extended data on the channel", 1)
            return
        self._touch()
        self._inbox.feed(data)
        self._pump()

    def eof_received(self) -> bool:
        self._input_ended = True
        self._pump()
        return True  # the channel stays open for the answers that are still to come

    def connection_lost(self, exc: Exception | None) -> None:
        self._channel = None
        self._end_soon("connection lost" if exc else "channel closed", None)

    def pause_writing(self) -> None:
        self._channel_full = True

    def resume_writing(self) -> None:
        self._channel_full = False
        self._go_on()

    def transport_paused(self) -> None:
        """The connection's socket buffer is over its high-water mark."""
        self._transport_full = True

    def transport_resumed(self) -> None:
        self._transport_full = False
        self._go_on()

    # ── what the application calls ──────────────────────────────────────────────────────────────────

    @property
    def busy(self) -> bool:
        """Whether a file is open or a request runs."""
        return self._ending is None and bool(self._handles.files or len(self._schedule))

    async def end(self, reason: str) -> None:
        """Abort what is open and close the channel; returns when all is let go of. May be called twice."""
        await asyncio.shield(self._end_soon(reason, 1))

    # ── requests ────────────────────────────────────────────────────────────────────────────────────

    def _pump(self) -> None:
        """Take requests from the inbox as long as there is room for them."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._ending is None and self._has_room:
                packet = self._inbox.next()
                if packet is None:
                    break
                self._accept(packet)
        except BadPacket as reason:
            self._end_soon(f"protocol error: {reason}", 1)
        except Exception:
            _log.exception("internal error", session=self._files.session.session_id)
            self._end_soon("internal error", 1)
        finally:
            self._pumping = False
        self._flush()
        self._steer_reading()
        self._end_if_through()

    @property
    def _has_room(self) -> bool:
        return (
            len(self._schedule) < self._options.max_requests_in_flight
            and self._received_bytes < self._options.receive_buffer_bytes
            and self._unsent_bytes < self._options.send_buffer_bytes
        )

    @property
    def _unsent_bytes(self) -> int:
        """Answers that wait, and those that running requests will give."""
        channel = self._channel
        return self._outbox_bytes + self._reserved_bytes + (channel.get_write_buffer_size() if channel else 0)

    def _accept(self, packet: bytes) -> None:
        kind = packet[0]
        fields = Fields(packet)
        if not self._initialized:
            self._initialize(kind, fields)
            return
        if kind == Type.INIT or fields.left < 4:
            raise BadPacket("INIT twice" if kind == Type.INIT else "no request id")
        request_id = fields.u32()
        try:
            if not self._answer_at_once(kind, request_id, packet):
                self._admit(self._operations.prepare(kind, request_id, fields), len(packet))
        except BadMessage as reason:
            self._send(status_packet(request_id, Status.BAD_MESSAGE, str(reason)))
        except StorageError as error:
            self._send(error_packet(request_id, error))

    def _initialize(self, kind: int, fields: Fields) -> None:
        """INIT's own extensions are accepted and ignored; a client of a later version speaks ours."""
        if kind != Type.INIT or fields.left < 4:
            raise BadPacket("a request came before INIT")
        if fields.u32() < 3:
            raise BadPacket("the client speaks a version before 3")
        self._initialized = True
        self._send(version_packet(ANNOUNCED))

    def _answer_at_once(self, kind: int, request_id: int, packet: bytes) -> bool:
        """READ of bytes that are here and WRITE that there is room for need no task."""
        if kind not in (Type.READ, Type.WRITE):
            return False
        fields = Fields(packet)
        fields.u32()
        handle = self._handles.find(fields.view())
        offset = fields.u64()
        if handle.pending or offset >= 1 << 63:
            return False
        opened = handle.opened
        if kind == Type.READ and isinstance(opened, OpenReader):
            length = min(fields.u32(), self._options.max_read_bytes)
            with span("sftp.READ", {"sftp.path": str(handle.path), "sftp.offset": offset}):
                views = opened.try_read(offset, length)
            if views is None:
                return False
            self._send(data_answer(request_id, views, length))
            return True
        if kind == Type.WRITE and isinstance(opened, OpenWriter):
            data = fields.view()
            with span("sftp.WRITE", {"sftp.path": str(handle.path), "sftp.offset": offset}):
                taken = opened.try_write(offset, data)
            if taken:
                self._send(ok_packet(request_id))
            return taken
        return False

    def _admit(self, request: Request, packet_bytes: int) -> None:
        ticket = self._schedule.admit(*request.claims)
        request.packet_bytes = packet_bytes
        self._received_bytes += packet_bytes
        self._reserved_bytes += request.answer_bytes
        if request.handle is not None:
            request.handle.pending += 1
            if request.name == "READ":
                request.answer_after, request.handle.last_read = request.handle.last_read, request.answered
        if ticket.ready:
            self._start(ticket, request)
        else:
            self._waiting[ticket] = request

    def _start(self, ticket: Ticket, request: Request) -> None:
        task = asyncio.create_task(self._run(ticket, request))
        self._tasks[task] = request
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _run(self, ticket: Ticket, request: Request) -> None:
        try:
            answer = await self._answer(request)
            if request.answer_after is not None:
                await request.answer_after.wait()
            self._send(answer)
        finally:
            request.answered.set()
            self._reserved_bytes -= request.answer_bytes
            self._received_bytes -= request.packet_bytes
            if request.handle is not None:
                request.handle.pending -= 1
            for ready in self._schedule.finish(ticket):
                if self._ending is None:
                    self._start(ready, self._waiting.pop(ready))
        self._touch()
        self._go_on()

    async def _answer(self, request: Request) -> bytes:
        """Run a request; whatever it raises becomes a status."""
        attributes = {"sftp.path": str(request.path or ""), "enduser.id": self._files.session.user}
        with span(f"sftp.{request.name}", attributes) as current, charged_to(Costs()) as costs:
            try:
                answer = await request.run()
            except StorageError as error:
                current.record_exception(error)
                self._log_request(request, costs, f"{type(error).__name__}: {error}", error.detail)
                return error_packet(request.request_id, error)
            except Exception as error:
                reference = secrets.token_hex(4)
                current.record_exception(error)
                _log.exception("internal error", request=request.name, reference=reference)
                text = f"internal error, reference {reference}"
                return status_packet(request.request_id, Status.FAILURE, text)
            finally:
                current.set_attribute("s3sftp.s3_requests", costs.total())
        self._log_request(request, costs, "ok", None)
        return answer

    def _log_request(self, request: Request, costs: Costs, outcome: str, detail: str | None) -> None:
        log = _log.info if request.changes else _log.debug
        log(
            "request",
            request=request.name,
            path=str(request.path or ""),
            outcome=outcome,
            s3_requests=dict(costs.requests),
            user=self._files.session.user,
            session=self._files.session.session_id,
            **({"target": str(request.target)} if request.target else {}),
            **({"detail": detail} if detail else {}),
        )

    # ── answers ─────────────────────────────────────────────────────────────────────────────────────

    def _send(self, packet: bytes) -> None:
        if self._channel is not None:
            self._outbox.append(packet)
            self._outbox_bytes += len(packet)

    def _flush(self) -> None:
        """Give answers to the channel until it, or the socket behind it, is full."""
        while self._outbox and self._channel and not (self._channel_full or self._transport_full):
            data = self._next_output()
            try:
                self._channel.write(data)
            except OSError:
                self._outbox.clear()
                self._outbox_bytes = 0
                return
            self._touch()

    def _next_output(self) -> bytes:
        """One long answer, or several short ones together."""
        pieces = [self._outbox.popleft()]
        size = len(pieces[0])
        while self._outbox and size + len(self._outbox[0]) <= _JOIN_BYTES:
            pieces.append(self._outbox.popleft())
            size += len(pieces[-1])
        self._outbox_bytes -= size
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _go_on(self) -> None:
        """Something was finished or sent: there may be room."""
        self._flush()
        self._pump()

    def _steer_reading(self) -> None:
        """Stop reading the channel while there is no room, so that its window closes."""
        if self._channel is None or self._ending is not None:
            return
        if not self._has_room and not self._reading_paused:
            self._reading_paused = True
            self._channel.pause_reading()
        elif self._has_room and self._reading_paused:
            self._reading_paused = False
            asyncio.get_running_loop().call_soon(self._resume_reading)

    def _resume_reading(self) -> None:
        if self._channel is not None and not self._reading_paused:
            self._channel.resume_reading()

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────

    def _end_if_through(self) -> None:
        if self._input_ended and not len(self._schedule) and not self._outbox:
            self._end_soon("client finished", 0)

    def _end_soon(self, reason: str, exit_status: int | None) -> asyncio.Task[None]:
        if self._ending is None:
            if self._watch is not None:
                self._watch.cancel()
            self._ending = self._files.shared.adopt(self._finish(reason, exit_status))
        return self._ending

    async def _finish(self, reason: str, exit_status: int | None) -> None:
        await self._end_tasks()
        aborted = 0
        for handle in self._handles.all():
            aborted += isinstance(handle.opened, OpenWriter)
            await _contain(handle, _let_go)
        _log.info(
            "session ended",
            reason=reason,
            aborted_uploads=aborted,
            user=self._files.session.user,
            session=self._files.session.session_id,
        )
        if self._channel is not None and exit_status is not None:
            self._flush()
            self._channel.exit(exit_status)

    async def _end_tasks(self) -> None:
        """Cancel what runs, except commits: their CLOSE has come, so the file is whole and wanted."""
        commits = [task for task, request in self._tasks.items() if request.commits]
        for task, request in list(self._tasks.items()):
            if not request.commits:
                task.cancel()
        if commits:
            await asyncio.wait(commits, timeout=self._options.close_timeout.total_seconds())
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    def _touch(self) -> None:
        self._last_moved = asyncio.get_running_loop().time()

    def _schedule_watch(self) -> None:
        options = self._options
        pause = min(60.0, options.idle_timeout.total_seconds() / 4, options.stall_timeout.total_seconds() / 4)
        self._watch = asyncio.get_running_loop().call_later(pause, self._look)

    def _look(self) -> None:
        """End a session that does nothing, or whose client takes nothing."""
        still = asyncio.get_running_loop().time() - self._last_moved
        stalled = bool(self._outbox) and still > self._options.stall_timeout.total_seconds()
        idle = (
            not len(self._schedule)
            and not self._outbox
            and still > self._options.idle_timeout.total_seconds()
        )
        if stalled or idle:
            self._end_soon("client takes no answers" if stalled else "idle", 1)
        elif self._ending is None:
            self._schedule_watch()


async def _let_go(handle: Handle) -> None:
    if isinstance(handle.opened, Listing):
        await handle.opened.close()
    else:
        await handle.opened.abort()


async def _contain(handle: Handle, step: Callable[[Handle], Awaitable[None]]) -> None:
    """Run one step of the clean-up; its failure is logged and stops nothing."""
    try:
        await step(handle)
    except Exception:
        _log.exception("clean-up failed", path=str(handle.path))
