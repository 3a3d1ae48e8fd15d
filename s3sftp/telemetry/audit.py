"""The audit log: one line of JSON for each login, each change of users, and each refused operation.

It reads the events of the log with certain names (`event_tap`), whatever the level of the log, and a few that
are made for it alone. docs/audit.md has all of them with their fields.

    {"time": …, "event": "login.failed", "process": "5c1f…", "number": 17, "worker": 2, "user": "acme", …}

`number` counts the lines of one process without gaps, so a gap shows where lines were lost.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any

from s3sftp.telemetry.audit_chain import FIELDS
from s3sftp.telemetry.audit_outputs import Put, open_output
from s3sftp.telemetry.event_tap import tap
from s3sftp.telemetry.logs import escape_event
from s3sftp.telemetry.options import AuditOptions
from s3sftp.telemetry.trace_ids import trace_ids

FROM_THE_LOG = frozenset(
    {
        "admin.access_refused",
        "admin.changed",
        "config.reload_failed",
        "connection.ending",
        "connection.request_refused",
        "download.failed",
        "login.accepted",
        "login.certificate_refused",
        "login.continued",
        "login.failed",
        "login.key_barred",
        "login.refused",
        "login.signature_refused",
        "source.banned",
        "source.unbanned",
        "upload.failed",
        "user.codes_refused",
    }
)
"""Events of the log that are lines of the audit log too."""
OF_FILES = frozenset(
    {"upload.aborted", "upload.committed", "upload.failed"}
    | {"download.aborted", "download.completed", "download.failed"}
)
"""Those that it has only with `audit.files`, but for uploads that were refused."""
_CHANGED = "request.changed"
MADE_FOR_IT = frozenset(
    {"audit.lines_lost", "audit.started", "login.unanswered", "request.refused", _CHANGED}
    | {"user.added", "user.changed", "user.removed"}
)
"""Events that the log has not, or not each of them."""
_DENIED = "PermissionDenied"


class AuditLog:
    """Makes lines of events."""

    def __init__(self, put: Put, worker: int | None = None, *, has_files: bool = False) -> None:
        """`put` takes a line, and neither waits nor raises. `has_files`: see `AuditOptions.files`."""
        self._has_files = has_files
        self._put = put
        self._worker = worker
        self._process = secrets.token_hex(8)
        self._numbers = count(1)  # several threads take from it

    def record(self, event: str, fields: Mapping[str, Any]) -> None:
        """Write a line, if the event is one that the audit log has."""
        if not self._has_files and (
            event == _CHANGED or (event == "upload.failed" and not _is_refusal(fields))
        ):
            return
        line = {
            "time": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "event": event,
            "process": self._process,
            "number": next(self._numbers),
            "worker": self._worker,
        }
        own = line.keys() | FIELDS
        named = {name: value for name, value in fields.items() if name not in own}
        of_event = escape_event(None, "", named | trace_ids())
        self._put(json.dumps({**_without_none(line), **of_event}, default=str).encode("ascii") + b"\n")


def _is_refusal(fields: Mapping[str, Any]) -> bool:
    """Whether an upload failed because its user may not, and not because the storage failed."""
    return fields.get("rule") is not None or str(fields.get("error", "")).startswith(_DENIED)


def _without_none(line: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if value is not None}


def start_audit(options: AuditOptions, version: str, *, worker: int | None = None) -> None:
    """Write the audit log of this process from now on, if it is configured. Starts a thread.

    Raises ConfigurationError: if its output cannot be opened.
    """
    if not options.is_on:
        return
    holder: list[AuditLog] = []

    def lost(lines: int) -> None:
        holder[0].record("audit.lines_lost", {"lines": lines})

    audit = AuditLog(open_output(options, lost, is_first=worker is None), worker, has_files=options.files)
    holder.append(audit)
    tap.install(FROM_THE_LOG | OF_FILES if options.files else FROM_THE_LOG, audit.record)
    audit.record("audit.started", {"version": version, "pid": os.getpid()})
