"""Logs, traces and counts each transfer when it ends. Hashing a file is not counted."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from typing import Any

from s3sftp import errors
from s3sftp.backends import ObjectAddress, Session
from s3sftp.events.announcements import SILENT, Announcer
from s3sftp.events.cloud_event import EventKind
from s3sftp.fs.paths import VirtualPath
from s3sftp.fs.transfer_book import TransferBook, TransferSummary
from s3sftp.telemetry import Costs, current_owner, get_logger, open_span
from s3sftp.telemetry.costs import dollars
from s3sftp.telemetry.logs import printable
from s3sftp.telemetry.metric_catalogue import TRANSFERS
from s3sftp.telemetry.metrics import Metrics
from s3sftp.telemetry.spans import NO_SPAN, OpenSpan

_log = get_logger("s3sftp.fs.openfiles")  # the name that operators filter by


class FailureReason(enum.StrEnum):
    """Why a transfer was aborted."""

    CLIENT_CLOSED = "client_closed"
    """The client left without a CLOSE."""
    CONNECTION_LOST = "connection_lost"
    SESSION_ENDED = "session_ended"
    """The server ended the session, because it stops or because the user is no longer allowed to log in."""
    IDLE = "idle"
    STALLED = "stalled"
    """The client read no answers."""
    PROTOCOL_ERROR = "protocol_error"
    INTERNAL_ERROR = "internal_error"
    CANCELLED = "cancelled"
    """Its CLOSE was cancelled before it was answered."""
    UNCHANGED = "unchanged"
    """CLOSE had nothing to store: nothing was written to the file."""
    REMOVED = "removed"
    """The name was removed, or given to another file."""


FAILURES: dict[type[errors.StorageError], str] = {
    errors.StorageError: "storage_error",
    errors.NotFound: "not_found",
    errors.AlreadyExists: "already_exists",
    errors.PermissionDenied: "permission_denied",
    errors.NotADirectory: "not_a_directory",
    errors.IsADirectory: "is_a_directory",
    errors.NotEmpty: "not_empty",
    errors.InvalidRequest: "invalid_request",
    errors.Unsupported: "unsupported",
    errors.OtherStorage: "other_storage",
    errors.Changed: "changed",
    errors.NoSpace: "no_space",
    errors.Busy: "busy",
    errors.TimedOut: "timed_out",
    errors.StorageFailure: "storage_failure",
}
"""The reason that is counted for a failed transfer. Contains every class of the tree; a test checks it."""


_KINDS = {
    ("upload", "failed"): EventKind.UPLOAD_FAILED,
    ("upload", "aborted"): EventKind.UPLOAD_ABORTED,
    ("download", "read"): EventKind.DOWNLOAD_COMPLETED,
    ("download", "failed"): EventKind.DOWNLOAD_FAILED,
    ("download", "aborted"): EventKind.DOWNLOAD_ABORTED,
}
"""The event for other systems. A commit is none of these: it is announced by the change that it is."""
_EVENTS = {
    ("upload", "stored"): "upload.committed",
    ("upload", "failed"): "upload.failed",
    ("upload", "aborted"): "upload.aborted",
    ("download", "read"): "download.completed",
    ("download", "failed"): "download.failed",
    ("download", "aborted"): "download.aborted",
    ("hash", "read"): "hash.completed",
    ("hash", "failed"): "hash.failed",
    ("hash", "aborted"): "hash.aborted",
}
"""The log event of a transfer, by its direction and its outcome."""


class TransferRecord:
    """The bytes and costs of one open file, logged and counted when it ends."""

    def __init__(
        self,
        direction: str,
        path: VirtualPath,
        session: Session,
        costs: Costs,
        metrics: Metrics | None = None,
        located: Callable[[], ObjectAddress | None] = lambda: None,
        book: TransferBook | None = None,
        moved: Callable[[], int] | None = None,
        size: int | None = None,
        announcer: Announcer = SILENT,
    ) -> None:
        """`located`: where the file is in an object store; asked when somebody looks. `book`: where the
        transfer is noted. `moved`: the bytes so far, if `bytes` is set only at the end. `size`: of the file,
        if it is known. `announcer` learns of ends that have changed nothing."""
        self.costs = costs
        self.path = path
        self.bytes = 0
        self.requests = 0
        """READs or WRITEs that moved bytes."""
        self._direction = direction
        self._session = session
        self._metrics = metrics
        self._located = located
        self._announcer = announcer
        self._started = time.monotonic()
        self._is_pretended = book is not None and book.is_pretended
        self._span = NO_SPAN if self._is_pretended else _span_of(direction, path, session)
        costs.transfer = self._span.context if self._span.is_on else None
        self._moved = moved
        self._size = size
        self._book = book
        self._id = book.begin(session.session_id, self) if book is not None else ""

    @property
    def seconds(self) -> float:
        """The seconds since the file was opened."""
        return time.monotonic() - self._started

    def summary(self) -> TransferSummary:
        """What it is and has moved by now."""
        moved = self._moved() if self._moved is not None else self.bytes
        return self._summary(self._located(), moved, self._size)

    def _summary(
        self, address: ObjectAddress | None, moved: int, size: int | None, **end: Any
    ) -> TransferSummary:
        """`moved` and `size` are in bytes; `end` has the fields that say how it has ended."""
        return TransferSummary(
            self._id,
            self._session.session_id,
            self._session.user,
            self._session.peer,
            self._direction,
            printable(str(self.path)),
            moved,
            size,
            self.seconds,
            bucket=address.bucket if address else None,
            key=printable(address.key) if address else None,
            trace_id=self._span.trace_id,
            s3_requests=self.costs.total(),
            s3_dollars=dollars(self.costs.requests),
            **end,
        )

    def end(
        self,
        outcome: str,
        *,
        size: int,
        error: Exception | None = None,
        why: FailureReason | None = None,
        checksum: str | None = None,
        in_doubt: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        """Log, count and announce the end. `outcome` is `stored`, `read`, `failed` (with `error`) or
        `aborted` (with `why`); `size` is that of the file in bytes; `checksum` as in `Upload.checksum`.
        `in_doubt`: takes the announcement of a file that may be stored after all."""
        if self._is_pretended:
            return
        result, reason = _counted_as(outcome, error, why)
        if self._metrics is not None:
            self._metrics.add(TRANSFERS.row(self._direction, result, reason))
        seconds, address = self.seconds, self._located()
        log = _log.info if error is None and outcome != "aborted" else _log.warning
        log(
            _EVENTS[self._direction, outcome],
            path=str(self.path),
            **_address(address),
            bytes=self.bytes,
            size=size,
            seconds=round(seconds, 3),
            mb_per_second=round(self.bytes / max(seconds, 1e-6) / 1e6, 3),
            checksum=checksum,
            reason=None if result == "committed" else reason,
            s3_requests=dict(self.costs.requests),
            s3_retries=self.costs.retries,
            s3_dollars=round(dollars(self.costs.requests), 9),
            user=self._session.user,
            peer=self._session.peer,
            session=self._session.session_id,
            **_reason(error),
        )
        if self._span.is_on:
            self._end_span(outcome, size, error, why)
        if self._book is not None:
            self._book.end(self._summary_at_end(address, size, result, reason, error))
        kind = _KINDS.get((self._direction, outcome))
        if kind is None or reason == FailureReason.UNCHANGED:
            return

        def tell() -> None:
            self._announcer.tell(
                kind,
                self._session,
                self.path.text,
                None,
                **_address(address),
                size=size,
                bytes=self.bytes,
                seconds=round(seconds, 3),
                reason=None if result == "committed" else reason,
                error=str(error) if isinstance(error, errors.StorageError) else None,
            )

        if in_doubt is None:
            tell()
        else:
            in_doubt(tell)

    def _summary_at_end(
        self,
        address: ObjectAddress | None,
        size: int,
        result: str,
        reason: str,
        error: Exception | None,
    ) -> TransferSummary:
        return self._summary(
            address,
            self.bytes,
            size,
            state=result,
            reason=None if result == "committed" else str(reason),
            error=None if error is None else printable(_reason(error)["error"] or ""),
            ended_at=time.time(),
        )

    def _end_span(self, outcome: str, size: int, error: Exception | None, why: FailureReason | None) -> None:
        result, reason = _counted_as(outcome, error, why)
        self._span.set(
            {
                "file.path": str(self.path),
                "file.size": size,
                "s3sftp.bytes": self.bytes,
                "s3sftp.requests": self.requests,
                "s3sftp.s3_requests": self.costs.total(),
                "s3sftp.s3_retries": self.costs.retries,
                "s3sftp.result": result,
                "s3sftp.reason": reason,
            }
        )
        is_cut_off = result == "aborted" and reason != FailureReason.UNCHANGED
        self._span.end(str(reason) if is_cut_off else error)


def _span_of(direction: str, path: VirtualPath, session: Session) -> OpenSpan:
    return open_span(
        f"sftp.{direction}",
        {"file.path": str(path), "user.name": session.user, "session.id": session.session_id},
        parent=current_owner(),
    )


def _address(address: ObjectAddress | None) -> dict[str, str]:
    return {} if address is None else {"bucket": address.bucket, "key": address.key}


def _counted_as(outcome: str, error: Exception | None, why: FailureReason | None) -> tuple[str, str]:
    """The result and reason to count. A stored file counts as committed even if a later step failed."""
    if outcome == "failed":
        return "failed", _failure(error)
    if outcome == "aborted":
        return "aborted", why or FailureReason.CANCELLED
    return "committed", "closed"


def _failure(error: Exception | None) -> str:
    return next((FAILURES[cls] for cls in type(error).__mro__ if cls in FAILURES), "internal_error")


def _reason(error: Exception | None) -> dict[str, str | None]:
    if error is None:
        return {}
    return {
        "error": f"{type(error).__name__}: {error}",
        "detail": getattr(error, "detail", None) or None,
        "rule": getattr(error, "rule", None),
    }
