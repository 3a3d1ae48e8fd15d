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
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from s3sftp.errors import ConfigurationError
from s3sftp.telemetry.audit_chain import FIELDS, Position
from s3sftp.telemetry.audit_chain_file import FileChain, open_state, read_key, state_file
from s3sftp.telemetry.audit_file import AuditFile, require_appendable
from s3sftp.telemetry.event_tap import tap
from s3sftp.telemetry.logs import escape_event, get_logger
from s3sftp.telemetry.options import AuditOptions
from s3sftp.telemetry.stderr_writer import StderrWriter
from s3sftp.telemetry.trace_ids import trace_ids

_log = get_logger("s3sftp.telemetry")
FROM_THE_LOG = frozenset(
    {
        "config.reload_failed",
        "connection.ending",
        "connection.request_refused",
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
MADE_FOR_IT = frozenset(
    {"audit.lines_lost", "audit.started", "login.unanswered", "request.refused"}
    | {"user.added", "user.changed", "user.removed"}
)
"""Events that the log has not, or not each of them."""
_DENIED = "PermissionDenied"
_STDOUT_BYTES = 8 << 20
_KEY_OPTION = "audit.chain_key_file"
_TELL_SECONDS = 60.0
"""How often the log says that the file still cannot be written."""

Put = Callable[[bytes], None]


class AuditLog:
    """Makes lines of events."""

    def __init__(self, put: Put, worker: int | None = None) -> None:
        """`put` takes a line, and neither waits nor raises."""
        self._put = put
        self._worker = worker
        self._process = secrets.token_hex(8)
        self._numbers = count(1)  # several threads take from it

    def record(self, event: str, fields: Mapping[str, Any]) -> None:
        """Write a line, if the event is one that the audit log has."""
        if event == "upload.failed" and not _is_refusal(fields):
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


def require_audit(options: AuditOptions) -> None:
    """Make sure that the audit log can be written, before anything else starts. Blocks.

    Raises ConfigurationError: if it cannot.
    """
    if (file := options.file) is not None:
        require_appendable(file, "audit.output")
        if options.chain:
            _require_chain(file)
        if options.chain_key_file is not None:
            read_key(options.chain_key_file, _KEY_OPTION)


def _require_chain(file: Path) -> None:
    """Make sure that the file beside the log can be written. Raises ConfigurationError: if it cannot."""
    try:
        os.close(open_state(state_file(file)))
    except OSError as error:
        beside = str(state_file(file))
        raise ConfigurationError(
            [f"audit.chain = true: cannot write {beside!r}: {error.strerror or error}"]
        ) from None


def start_audit(options: AuditOptions, version: str, *, worker: int | None = None) -> None:
    """Write the audit log of this process from now on, if it is configured. Starts a thread.

    Raises ConfigurationError: if the key of its chain cannot be read.
    """
    if not options.is_on:
        return
    holder: list[AuditLog] = []
    file = options.file
    put = _to_file(file, holder, _chain_of(file, options)) if file is not None else _to_stdout(holder)
    audit = AuditLog(put, worker)
    holder.append(audit)
    tap.install(FROM_THE_LOG, audit.record)
    audit.record("audit.started", {"version": version, "pid": os.getpid()})


def _to_stdout(holder: list[AuditLog]) -> Put:
    def dropped(lines: int) -> None:
        _log.error("audit.lines_lost", lines=lines, detail="nobody read standard output, or not fast enough")
        holder[0].record("audit.lines_lost", {"lines": lines})

    writer = StderrWriter(sys.stdout.fileno(), dropped, _STDOUT_BYTES)
    writer.start()
    writer.finish_at_exit()
    return writer.put


def _chain_of(file: Path, options: AuditOptions) -> FileChain | None:
    if not options.chain:
        return None
    key = None if options.chain_key_file is None else read_key(options.chain_key_file, _KEY_OPTION)

    def anchored(last: Position) -> None:
        _log.info("audit.anchored", file=str(file), chain=last.chain, sequence=last.sequence, hash=last.hash)

    return FileChain(file, key, anchored, options.anchor_interval.total_seconds())


def _to_file(file: Path, holder: list[AuditLog], chain: FileChain | None) -> Put:
    told_at: list[float] = []

    def failed(error: OSError) -> None:
        now = time.monotonic()
        if not told_at or now - told_at[-1] >= _TELL_SECONDS:
            told_at.append(now)
            _log.error(
                "audit.failed",
                file=str(file),
                error=error.strerror or str(error),
                advice="clients are served meanwhile; lines are kept in memory until there are too many",
            )

    def recovered(lost: int) -> None:
        told_at.clear()
        _log.warning("audit.recovered", file=str(file), lines_lost=lost)
        if lost:
            holder[0].record("audit.lines_lost", {"lines": lost})

    writer = AuditFile(file, failed, recovered, chain=chain)
    writer.start()
    return writer.put
