"""The spans of one session: its own, and those of its requests below it.

sftp.session
├─ sftp.OPEN, sftp.STAT, sftp.RENAME, …   each request
├─ sftp.READ, sftp.WRITE                  as `tracing.reads_and_writes` has them
└─ sftp.upload, sftp.download             each open file: fs/transfer_record.py
"""

from __future__ import annotations

import itertools
from contextlib import AbstractContextManager

from opentelemetry.trace import Span, SpanKind
from opentelemetry.util.types import AttributeValue

from s3sftp.backends import Session
from s3sftp.errors import StorageError
from s3sftp.sftp.request import Request
from s3sftp.sftp.status import status_of
from s3sftp.telemetry import current_owner, is_tracing, note_error, open_span, span, without_span
from s3sftp.telemetry.options import TracingOptions

SAMPLED_ONE_IN = 100
"""Of how many READs and WRITEs of a session one gets a span, with `sampled`: the first, and so on."""


class RequestSpans:
    """The spans of one session. Must be made where the span of the connection is current."""

    def __init__(self, session: Session, options: TracingOptions) -> None:
        self._whose: dict[str, AttributeValue] = {
            "user.name": session.user,
            "session.id": session.session_id,
        }
        self._session = open_span(
            "sftp.session",
            self._whose | {"network.protocol.name": "sftp", "network.protocol.version": "3"},
            parent=current_owner(),
        )
        one_in = {"folded": 0, "sampled": SAMPLED_ONE_IN, "each": 1}[options.reads_and_writes]
        self._one_in = one_in if is_tracing() else 0  # tracing is on or off from the start
        self._numbers = itertools.count()
        self.of_transfers = self._one_in > 0
        """Whether READs and WRITEs may have spans of their own."""

    @property
    def trace_id(self) -> str | None:
        """The id of the session's trace; None while tracing is off."""
        return self._session.trace_id

    def is_due(self) -> bool:
        """Whether the READ or WRITE that has arrived gets a span of its own. To be called once for each."""
        return self._one_in > 0 and next(self._numbers) % self._one_in == 0

    def around(self, request: Request) -> AbstractContextManager[Span]:
        """The span of a request. For a READ or WRITE without one, what it sends belongs to its transfer."""
        if not request.is_traced and self._session.is_on:
            return without_span()
        return span(
            f"sftp.{request.name}",
            lambda: _of_request(request) | self._whose,
            SpanKind.SERVER,
            parent=self._session,
        )

    def refused(self, name: str, path: bytes, error: StorageError) -> None:
        """The span of a request that was refused before it could run."""
        attributes = {"file.path": path.decode("utf-8", "surrogateescape")} | self._whose
        with span(f"sftp.{name}", lambda: attributes, SpanKind.SERVER, parent=self._session) as current:
            self.failed(current, error, is_expected=False)

    def failed(self, current: Span, error: StorageError, *, is_expected: bool) -> None:
        """Record how a request failed. `is_expected`: clients send such requests and expect them to fail."""
        current.set_attribute("sftp.status", status_of(error).name)
        note_error(current, error, is_failure=not is_expected)

    def end(self, reason: str) -> None:
        """End the session's span."""
        self._session.set({"s3sftp.end_reason": reason})
        self._session.end()


def _of_request(request: Request) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {"file.path": str(request.path or "")}
    if request.target is not None:
        attributes["s3sftp.target_path"] = str(request.target)
    if request.size:
        attributes["s3sftp.bytes"] = request.size
    return attributes
