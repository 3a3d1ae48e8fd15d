"""Logs the requests of one session.

A failed request is logged at the level of its kind:

warning  the storage failed or timed out; something is busy, at its limit or out of space
info     OPEN, and requests that change names or times; whatever rights and rules refuse; a bad
         path
debug    "no such file" of requests that only look: clients ask before they act
         MKDIR of a directory that exists: `mkdir -p` relies on it
         extensions and links that are not supported: clients try them and carry on
         READ, WRITE and CLOSE of a file, whose transfer has an event of its own
"""

from __future__ import annotations

import logging
import secrets
import sys
import time
from typing import Any

from s3sftp import errors
from s3sftp.backends import Session
from s3sftp.errors import StorageError
from s3sftp.sftp.request import Request, TransferRequest
from s3sftp.sftp.status import Status, status_of, status_packet
from s3sftp.telemetry import Costs, get_logger
from s3sftp.telemetry.event_tap import tap
from s3sftp.telemetry.log_throttle import BurstAllowance

_log = get_logger("s3sftp.sftp.runner")  # the name that operators filter by

_REFERENCE = "_s3sftp_reference"
_AT_ONCE = 20
"""Failures of one session that are logged one by one. After that one in `_SECONDS_FOR_ONE` seconds is logged,
because a client without any rights may ask for thousands of files."""
_SECONDS_FOR_ONE = 10.0
_OF_TRANSFERS = frozenset({"READ", "WRITE", "CLOSE", "fsync"})
_TRIED_BY_HABIT = frozenset({"READLINK", "EXTENDED"})
_OF_STORAGE = (errors.StorageFailure, errors.TimedOut, errors.Busy, errors.NoSpace)


class RequestLog:
    """Logs how requests ended, with their user and session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._allowance = BurstAllowance(_AT_ONCE, _SECONDS_FOR_ONE)
        self.logs_reads = _log.is_enabled_for(logging.DEBUG)
        """Whether each READ, and all else at level debug, is logged. The level is fixed when the server
        starts."""

    @staticmethod
    def is_expected(request: Request, error: StorageError) -> bool:
        """Whether clients send such requests as a matter of course, and expect them to fail."""
        return _is_habit(request.name, error, changes=request.changes)

    def log(
        self, request: Request | TransferRequest, costs: Costs, error: StorageError | None = None
    ) -> None:
        """Log a request that has ended."""
        if error is not None:
            self._log_failed(error, _fields(request), request.changes, costs)
            return
        if request.changes and tap.is_read:  # for the audit log
            whose = {**self._whose(), "peer": self._session.peer}
            tap.observe("request.changed", **_fields(request), **whose)
        level = logging.INFO if request.changes else logging.DEBUG
        if (request.changes or self.logs_reads) and _log.is_enabled_for(level):
            _log.log(level, "request.completed", **_fields(request), **_cost(costs), **self._whose())

    def log_refused(self, name: str, path: bytes, error: StorageError) -> None:
        """Log a request that was refused before it was admitted, with the path as the client sent it."""
        self._log_failed(error, {"request": name, "path": path}, changes=False, costs=None)

    def _log_failed(
        self, error: StorageError, fields: dict[str, Any], changes: bool, costs: Costs | None
    ) -> None:
        if tap.is_read:
            self._observe_refusal(fields, error)
        level = failure_log_level(fields["request"], error, changes=changes)
        if not _log.is_enabled_for(level):
            return
        suppressed: int | None = 0
        if level > logging.DEBUG:
            suppressed = self._allowance.allow(time.monotonic())
        if suppressed is None:
            return
        _log.log(
            level,
            "request.failed" if level == logging.WARNING else "request.refused",
            **fields,
            status=status_of(error).name,
            reason=str(error),
            detail=error.detail,
            rule=error.rule,
            suppressed=suppressed or None,
            **_cost(costs),
            **self._whose(),
        )

    def _observe_refusal(self, fields: dict[str, Any], error: StorageError) -> None:
        """For the audit log, which has each refusal: what rights, rules or the storage's permissions do not
        allow. That of a transfer is in its own event; a READ that a rule refuses is of an upload, which goes
        on."""
        is_refusal = error.rule is not None or isinstance(error, errors.PermissionDenied)
        request = fields["request"]
        if is_refusal and (request not in _OF_TRANSFERS or (request == "READ" and error.rule is not None)):
            tap.observe(
                "request.refused",
                **fields,
                status=status_of(error).name,
                reason=str(error),
                detail=error.detail,
                rule=error.rule,
                **self._whose(),
                peer=self._session.peer,
            )

    def end(self) -> None:
        """Log, at the end of the session, how many failures were suppressed."""
        if suppressed := self._allowance.suppressed:
            _log.info("request.refusals_suppressed", suppressed=suppressed, **self._whose())

    def _whose(self) -> dict[str, str]:
        return {"user": self._session.user, "session": self._session.session_id}

    def answer_to_unexpected(self, request_id: int, name: str) -> bytes:
        """Log an unexpected exception and return the answer, which contains only a reference to the log line.

        Must be called while the exception is handled. An exception that fails an upload fails each request
        that follows, so it keeps its reference, and its traceback is logged only once.
        """
        error: Any = sys.exception()
        reference = getattr(error, _REFERENCE, None)
        first = reference is None
        if first:
            reference = secrets.token_hex(4)
            setattr(error, _REFERENCE, reference)
        _log.error(
            "request.crashed",
            request=name,
            reference=reference,
            **self._whose(),
            exc_info=first,
        )
        text = f"internal error, reference {reference}"
        return status_packet(request_id, Status.FAILURE, text)


def _fields(request: Request | TransferRequest) -> dict[str, Any]:
    target = {"target": str(request.target)} if request.target else {}
    return {"request": request.name, "path": str(request.path or "")} | target


def _cost(costs: Costs | None) -> dict[str, Any]:
    return {} if costs is None else {"s3_requests": dict(costs.requests)}


def failure_log_level(name: str, error: errors.StorageError, *, changes: bool) -> int:
    """The log level of a request's failure. `changes`: the request changes what is stored."""
    if name in _OF_TRANSFERS or _is_habit(name, error, changes=changes):
        return logging.DEBUG
    return logging.WARNING if isinstance(error, _OF_STORAGE) and error.rule is None else logging.INFO


def _is_habit(name: str, error: errors.StorageError, *, changes: bool) -> bool:
    """Whether clients send such requests routinely and expect them to fail."""
    if error.rule is not None:
        return False
    if isinstance(error, errors.NotFound | errors.NotADirectory):
        return name != "OPEN" and not changes
    if isinstance(error, errors.AlreadyExists):
        return name == "MKDIR"
    return isinstance(error, errors.Unsupported) and name in _TRIED_BY_HABIT
