"""Serves one SFTP session on an SSH channel: parses requests, runs them and sends the answers.

    data_received ─► PacketReader ─► Operations.prepare ─► RequestRunner ─► answer ─► SendQueue ─► channel
                      │                                     └ at once, if the request need not wait
                      └ backpressure: while too much runs or waits to be sent, the session stops reading

Running requests, buffered bytes in either direction and handles are bounded. Whenever the session ends,
CLOSEs that run or wait their turn are answered, other uploads are aborted, directories are closed, and tasks
are cancelled and awaited; a failing step never stops the next. If the server ends the session, it first
processes the received requests that waited for room, up to the last CLOSE of an upload among them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from math import inf
from typing import Any

import asyncssh

from s3sftp.errors import InvalidRequest, StorageError
from s3sftp.fs import FailureReason, FileSystem, OpenDirectory, OpenWriter
from s3sftp.sftp.codec import (
    PACKET_OVERHEAD,
    BadMessage,
    BadPacket,
    FieldReader,
    PacketReader,
    PacketType,
    version_packet,
)
from s3sftp.sftp.drain_reader import DrainReader
from s3sftp.sftp.extensions import ANNOUNCED
from s3sftp.sftp.handles import Handle, HandleTable
from s3sftp.sftp.operations import Operations
from s3sftp.sftp.options import SftpOptions
from s3sftp.sftp.pace import UserPace
from s3sftp.sftp.quickack import quickack
from s3sftp.sftp.request_metrics import RequestMetrics, operation_of_packet
from s3sftp.sftp.request_runner import RequestRunner
from s3sftp.sftp.request_spans import RequestSpans
from s3sftp.sftp.send_queue import SendQueue
from s3sftp.sftp.session_activity import SessionActivity
from s3sftp.sftp.status import Status, error_packet, status_packet
from s3sftp.sftp.user_handles import UserHandles
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.options import TracingOptions

_log = get_logger(__name__)

_SLICE_SECONDS = 0.01
"""How long a session may process requests before it yields to other sessions."""
_CHECK_SECONDS = 60.0
_NAMES = {int(kind): kind.name for kind in PacketType}
_VERSION = version_packet(ANNOUNCED)
_OF_PATHS = frozenset(
    {
        *(
            PacketType.OPEN,
            PacketType.LSTAT,
            PacketType.STAT,
            PacketType.SETSTAT,
            PacketType.OPENDIR,
            PacketType.REMOVE,
            PacketType.MKDIR,
        ),
        *(PacketType.RMDIR, PacketType.REALPATH, PacketType.RENAME, PacketType.READLINK, PacketType.SYMLINK),
    }
)
"""Requests whose first field is a path."""


class SftpSession(asyncssh.SSHServerSession[bytes]):
    """The `sftp` subsystem on one channel, for asyncssh's `session_requested`, with `encoding=None`."""

    def __init__(
        self,
        files: FileSystem,
        options: SftpOptions,
        pace: UserPace | None = None,
        of_user: UserHandles | None = None,
        tracing: TracingOptions = TracingOptions(),  # noqa: B008  frozen
    ) -> None:
        """`pace`: how fast the user may be, with all sessions together. None: as fast as possible. `of_user`:
        how many handles the user has and may have, in all sessions together. None: no limit."""
        self._files = files
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._handles = HandleTable(
            options.max_handles, options.max_directories, files.shared.metrics, of_user
        )
        self._answered = RequestMetrics(files.shared.metrics)
        self._operations = Operations(files, self._handles, options)
        self._reader = PacketReader(max(options.max_read_bytes, options.max_write_bytes) + PACKET_OVERHEAD)
        self._send_queue = SendQueue(self._touch)
        self._spans = RequestSpans(files.session, tracing)
        self._runner = RequestRunner(
            files.session,
            options,
            self._send_queue,
            self._answered,
            self._spans,
            self._continue,
            files.shared.book.account_of,
        )
        files.shared.book.open_session(files.session.session_id)
        self._started_at = time.time()
        self._socket: Any = None
        self._reading_paused = False
        self._accepting = False
        self._pace = pace
        self._pause: asyncio.TimerHandle | None = None
        """Set while the session accepts nothing because its user was faster than allowed."""
        self._yielding = False
        self._turn_is_due = False
        self._stalled = False
        self._initialized = False
        self._input_ended = False
        self._backlog_taken = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._last_moved = 0.0
        self._idle_seconds = options.idle_timeout.total_seconds() or inf
        self._stall_seconds = options.stall_timeout.total_seconds() or inf

    # ── what asyncssh calls ─────────────────────────────────────────────────────────────────────────

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._send_queue.open(chan)
        self._socket = chan.get_extra_info("socket")
        self._touch()
        self._schedule_watch()

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == "sftp"

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if self._ending is not None:
            return
        if datatype is not None:
            self._end_soon("extended data on the channel", 1, FailureReason.PROTOCOL_ERROR)
            return
        self._touch()
        before = self._reader.packets
        self._reader.feed(data)
        self._accept_packets()
        if self._reader.packets == before:  # a request is still incomplete, so no answer is due
            quickack(self._socket)

    def eof_received(self) -> bool:
        self._input_ended = True
        self._accept_packets()
        return True  # the channel stays open for the remaining answers

    def connection_lost(self, exc: Exception | None) -> None:
        self._send_queue.channel = None
        if exc:
            self._end_soon("connection lost", None, FailureReason.CONNECTION_LOST)
        else:
            self._end_soon("channel closed", None, FailureReason.CLIENT_CLOSED)

    def pause_writing(self) -> None:
        self._send_queue.channel_full = True

    def resume_writing(self) -> None:
        self._send_queue.channel_full = False
        self._continue()

    def transport_paused(self) -> None:
        """Stop sending, because the connection's socket buffer is over its high-water mark."""
        self._send_queue.transport_full = True

    def transport_resumed(self) -> None:
        self._send_queue.transport_full = False
        self._continue()

    # ── what the application calls ──────────────────────────────────────────────────────────────────

    @property
    def busy(self) -> bool:
        """Whether a file is open or a request runs."""
        return self._ending is None and bool(self._handles.files or len(self._runner))

    @property
    def activity(self) -> SessionActivity:
        """What it is doing now."""
        idle = self._loop.time() - self._last_moved if self._last_moved else 0.0
        requests = max(0, self._reader.packets - 1)  # the first packet is INIT
        return SessionActivity(self._started_at, idle, len(self._handles), requests, self._spans.trace_id)

    @property
    def commit_seconds(self) -> float:
        """How many seconds CLOSEs that have arrived may still take to be answered; 0 if there are none.

        If files are open and requests wait for room, a CLOSE may be among those.
        """
        has_backlog = self._handles.files and (self._reading_paused or len(self._reader))
        may_commit = self._runner.has_commits or has_backlog
        return self._options.close_timeout.total_seconds() if may_commit else 0.0

    async def end(self, reason: str) -> None:
        """Answer the CLOSEs that have arrived, abort all other open files and close the channel.

        Returns when everything is released. May be called more than once.
        """
        if self._stopping is None:
            self._stopping = self._files.shared.adopt(self._stop(reason))
        await asyncio.shield(self._stopping)

    # ── requests ────────────────────────────────────────────────────────────────────────────────────

    def _accept_packets(self) -> None:
        """Accept the received packets as long as the limits allow."""
        if self._accepting:
            return
        self._accepting = True
        clock = self._loop.time
        came_at = clock()
        slice_end = came_at + _SLICE_SECONDS
        had_room = True
        try:
            while self._ending is None and (had_room := self._has_room):
                packet = self._reader.next()
                if packet is None:
                    break
                self._accept(packet, came_at)
                came_at = clock()
                if came_at > slice_end:
                    self._let_others_go_first()
        except BadPacket as reason:
            self._end_soon(f"protocol error: {reason}", 1, FailureReason.PROTOCOL_ERROR)
        except Exception:
            _log.exception("session.crashed", session=self._files.session.session_id)
            self._end_soon("internal error", 1, FailureReason.INTERNAL_ERROR)
        finally:
            self._accepting = False
        self._send_queue.flush()
        has_room = had_room or self._has_room
        if self._runner.may_start_reads or has_room is not had_room:
            self._take_turn_soon()  # the answers have left, so no callback would continue
        self._apply_backpressure(has_room=has_room)
        self._end_if_through()

    def _let_others_go_first(self) -> None:
        """Continue in the event loop's next iteration, so that a flood of requests blocks no other
        session."""
        self._yielding = True
        self._take_turn_soon()

    def _take_turn_soon(self) -> None:
        if not self._turn_is_due:
            self._turn_is_due = True
            self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._turn_is_due = False
        self._yielding = self._pause is not None
        self._continue()

    def _pause_for(self, seconds: float) -> None:
        """Accept no other request for this long."""
        if seconds:
            self._yielding = True
            self._pause = self._loop.call_later(seconds, self._end_pause)

    def _end_pause(self) -> None:
        self._pause = None
        self._yielding = False
        self._continue()

    def _set_pace_aside(self) -> None:
        """Accept what has been received without further pauses, because the session ends."""
        self._pace = None
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
            self._yielding = False

    @property
    def _has_room(self) -> bool:
        """Whether the limits allow another request."""
        if self._yielding:
            return False
        return self._runner.has_room and self._send_queue.unsent_bytes < self._options.send_buffer_bytes

    def _accept(self, packet: bytes, came_at: float) -> None:
        kind = packet[0]
        fields = FieldReader(packet)
        if not self._initialized:
            self._initialize(kind, fields)
            return
        if kind == PacketType.INIT or fields.left < 4:
            raise BadPacket("INIT twice" if kind == PacketType.INIT else "no request id")
        request_id = fields.u32()
        pace = self._pace
        if pace is not None and pace.is_limited:
            self._pause_for(pace.charge_kind(kind))
        else:
            pace = None
        try:
            request = self._operations.prepare(kind, request_id, fields)
            if pace is not None:
                self._pause_for(pace.charge_bytes(kind, request))
            self._runner.accept(request, len(packet), came_at)
        except BadMessage as reason:
            self._note_refused(kind, packet, InvalidRequest(str(reason)))
            answer = status_packet(request_id, Status.BAD_MESSAGE, str(reason))
        except StorageError as error:
            self._note_refused(kind, packet, error)
            answer = error_packet(request_id, error)
        except Exception:
            answer = self._runner.answer_to_unexpected(request_id, f"type {kind}")
        else:
            return
        self._answered.count(operation_of_packet(kind, packet), answer, self._loop.time() - came_at)
        self._send_queue.put(answer)

    def _note_refused(self, kind: int, packet: bytes, error: StorageError) -> None:
        """Log a refused request. A refused WRITE also fails its upload, which must not commit without it."""
        self._runner.log_refused(*_name_and_path(kind, packet), error)
        if kind == PacketType.WRITE:
            with suppress(BadMessage, StorageError):
                fields = FieldReader(packet)
                fields.u32()
                opened = self._handles.find(fields.view()).opened
                if isinstance(opened, OpenWriter):
                    opened.fail(error)

    def _initialize(self, kind: int, fields: FieldReader) -> None:
        """Answer INIT with version 3, which later clients speak too. Ignores the extensions in INIT."""
        if kind != PacketType.INIT or fields.left < 4:
            raise BadPacket("a request came before INIT")
        if fields.u32() < 3:
            raise BadPacket("the client speaks a version before 3")
        self._initialized = True
        self._send_queue.put(_VERSION)

    def _continue(self) -> None:
        """Continue after a request has ended or bytes have been sent, when there may be room."""
        self._touch()
        self._send_queue.flush(more_follow=len(self._runner) > 0)
        self._runner.start_reads()
        self._accept_packets()

    def _apply_backpressure(self, *, has_room: bool) -> None:
        """Pause reading from the channel while there is no room, so that its window closes."""
        channel = self._send_queue.channel
        if channel is None or self._ending is not None:
            return
        if not has_room and not self._reading_paused:
            self._reading_paused = True
            channel.pause_reading()
        elif has_room and self._reading_paused:
            self._reading_paused = False
            self._loop.call_soon(self._resume_reading)

    def _resume_reading(self) -> None:
        if self._send_queue.channel is not None and not self._reading_paused:
            self._send_queue.channel.resume_reading()

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────

    def _end_if_through(self) -> None:
        waits = self._turn_is_due or self._pause is not None
        if self._input_ended and not len(self._runner) and not self._send_queue and not waits:
            self._end_soon("client finished", 0, FailureReason.CLIENT_CLOSED)

    async def _stop(self, reason: str) -> None:
        """End the session after the received requests up to the last CLOSE of an upload."""
        deadline = self._loop.time() + self._options.close_timeout.total_seconds()
        self._set_pace_aside()
        if self._ending is None and self._keep_backlog():
            self._accept_packets()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._backlog_taken.wait()
        await self._end_soon(reason, 1, FailureReason.SESSION_ENDED, deadline)

    def _keep_backlog(self) -> bool:
        """Stop accepting requests. Returns whether a CLOSE of an upload waits for room."""
        self._accepting = True  # only collect the bytes that the channel holds back
        if self._send_queue.channel is not None and self._reading_paused:
            self._reading_paused = False
            self._send_queue.channel.resume_reading()
        self._accepting = False
        self._reader = DrainReader(self._reader, self._handles, self._backlog_taken.set)
        return len(self._reader) > 0

    def _end_soon(
        self, reason: str, exit_status: int | None, why: FailureReason, deadline: float | None = None
    ) -> asyncio.Task[None]:
        """Start to end the session. CLOSEs are answered until `deadline`, on the event loop's clock; by
        default for `close_timeout`. `why` is the recorded reason of transfers that are not finished."""
        if self._ending is None:
            if self._watch is not None:
                self._watch.cancel()
            self._set_pace_aside()
            self._backlog_taken.set()
            if deadline is None:
                deadline = self._loop.time() + self._options.close_timeout.total_seconds()
            self._ending = self._files.shared.adopt(self._finish(reason, exit_status, why, deadline))
        return self._ending

    async def _finish(
        self, reason: str, exit_status: int | None, why: FailureReason, deadline: float
    ) -> None:
        await self._runner.stop(deadline)
        self._send_queue.flush()
        self._send_queue.clear()  # the client will not take these answers any more
        handles = self._handles.all()
        aborted = sum(isinstance(handle.opened, OpenWriter) for handle in handles)
        await asyncio.gather(*(_contain(handle, partial(_let_go, why)) for handle in handles))
        for handle in handles:
            self._handles.remove(handle)
        self._files.shared.book.close_session(self._files.session.session_id)
        self._spans.end(reason)
        _log.info(
            "session.ended",
            reason=reason,
            aborted_uploads=aborted,
            user=self._files.session.user,
            session=self._files.session.session_id,
        )
        if self._send_queue.channel is not None and exit_status is not None:
            if self._stalled:  # exit would wait until the client has read the answers before it
                self._send_queue.channel.abort()
            else:
                self._send_queue.channel.exit(exit_status)

    def _touch(self) -> None:
        self._last_moved = self._loop.time()

    def _schedule_watch(self) -> None:
        pause = min(_CHECK_SECONDS, self._idle_seconds / 4, self._stall_seconds / 4)
        self._watch = self._loop.call_later(pause, self._check_progress)

    def _check_progress(self) -> None:
        """End the session if it is idle, or if its client reads no answers."""
        still = self._loop.time() - self._last_moved
        self._stalled = bool(self._send_queue) and still > self._stall_seconds
        moves = len(self._runner) or self._send_queue or self._pause is not None
        idle = not moves and still > self._idle_seconds
        if self._stalled:
            self._end_soon("client takes no answers", 1, FailureReason.STALLED)
        elif idle:
            self._end_soon("idle", 1, FailureReason.IDLE)
        elif self._ending is None:
            self._schedule_watch()


async def _let_go(why: FailureReason, handle: Handle) -> None:
    if isinstance(handle.opened, OpenDirectory):
        await handle.opened.close()
    else:
        await handle.opened.abort(why)


async def _contain(handle: Handle, step: Callable[[Handle], Awaitable[None]]) -> None:
    """Run one step of the clean-up. Logs its failure, so that the other steps still run."""
    try:
        await step(handle)
    except Exception:
        _log.exception("session.cleanup_failed", path=str(handle.path))


def _name_and_path(kind: int, packet: bytes) -> tuple[str, bytes]:
    """The name of a request that could not be parsed, and the path that it begins with, if any."""
    name = _NAMES.get(kind, f"type {kind}")
    path = b""
    if kind in _OF_PATHS:
        with suppress(BadMessage):
            fields = FieldReader(packet)
            fields.u32()
            path = fields.string()
    return name, path
