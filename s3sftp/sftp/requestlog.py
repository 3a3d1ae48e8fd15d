"""What is told of the requests of one session, to spans and to the log."""

from __future__ import annotations

import logging
import secrets
import sys
from typing import Any

from s3sftp.backends import Session
from s3sftp.sftp.request import Request
from s3sftp.sftp.status import Status, status_packet
from s3sftp.telemetry import Costs, get_logger, is_tracing

_log = get_logger("s3sftp.sftp.runner")  # which runs them

_REFERENCE = "_s3sftp_reference"


class RequestLog:
    """Says what became of requests, and whose they were."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.tells_reads = is_tracing() or _log.is_enabled_for(logging.DEBUG)
        """Whether anyone wants to know of each single READ. It is decided when the server starts."""

    def attributes(self, request: Request) -> dict[str, str]:
        """What a span says of a request; not put together while nobody listens."""
        if not is_tracing():
            return {}
        return {
            "sftp.path": str(request.path or ""),
            "enduser.id": self._session.user,
            "session.id": self._session.session_id,
        }

    def tell(self, request: Request, costs: Costs, outcome: str = "ok", detail: str | None = None) -> None:
        """The line of a request that has ended."""
        level = logging.INFO if request.changes else logging.DEBUG
        if not _log.is_enabled_for(level):
            return
        _log.log(
            level,
            "request",
            request=request.name,
            path=str(request.path or ""),
            outcome=outcome,
            s3_requests=dict(costs.requests),
            user=self._session.user,
            session=self._session.session_id,
            **({"target": str(request.target)} if request.target else {}),
            **({"detail": detail} if detail else {}),
        )

    def answer_to_the_unforeseen(self, request_id: int, name: str) -> bytes:
        """The client gets a reference; the log has it with all the rest. Called while handling the error.

        One that fails an upload fails each request that follows: it keeps its reference, and is told whole
        only once.
        """
        error: Any = sys.exception()
        reference = getattr(error, _REFERENCE, None)
        first = reference is None
        if first:
            reference = secrets.token_hex(4)
            setattr(error, _REFERENCE, reference)
        _log.error(
            "internal error",
            request=name,
            reference=reference,
            user=self._session.user,
            session=self._session.session_id,
            exc_info=first,
        )
        text = f"internal error, reference {reference}"
        return status_packet(request_id, Status.FAILURE, text)
