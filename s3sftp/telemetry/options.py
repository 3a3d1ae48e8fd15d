"""Options of the groups `[log]`, `[audit]` and `[tracing]`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import field_validator

from s3sftp.config import Options


class LogOptions(Options):
    """What the server logs, and how. Logs go to standard error, one event a line."""

    format: Literal["json", "logfmt"] = "json"
    """`json` for machines, `logfmt` (`key=value`) for people."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe events that are written."""


class AuditOptions(Options):
    """The audit log: one line of JSON for each login, each change of users, and each refused operation."""

    output: str = "off"
    """Where it goes: `off`, `stdout`, or the absolute path of a file, such as
    `/var/log/s3sftp/audit.log`, to which the server appends. The file may be rotated at any time."""

    @field_validator("output")
    @classmethod
    def _known_output(cls, text: str) -> str:
        if text not in ("off", "stdout") and (not text.startswith("/") or "\0" in text):
            raise ValueError("should be 'off', 'stdout', or the absolute path of a file")
        return text

    @property
    def is_on(self) -> bool:
        return self.output != "off"

    @property
    def file(self) -> Path | None:
        """The file; None if there is none."""
        return Path(self.output) if self.output.startswith("/") else None


class TracingOptions(Options):
    """The spans for OpenTelemetry. Whether there are any, and where they go, is configured by the standard
    variables `OTEL_…`."""

    reads_and_writes: Literal["folded", "sampled", "each"] = "folded"
    """Spans of READ and WRITE requests, of which a large file has thousands. `folded`: none; the span of the
    transfer has their number and their bytes. `sampled`: one in a hundred of each session has a span too.
    `each`: all of them, which costs much CPU."""
