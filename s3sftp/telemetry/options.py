"""Options of the groups `[log]`, `[audit]` and `[tracing]`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from s3sftp.config import LocalPath, Options, PositiveDuration


class LogOptions(Options):
    """What the server logs, and how. Logs go to standard error, one event a line."""

    format: Literal["auto", "json", "text", "logfmt"] = "auto"
    """`json` for machines, `text` for people, `logfmt` (`key=value`) for both; `auto`: `text` on a terminal
    and `json` elsewhere."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe events that are written."""


class AuditOptions(Options):
    """The audit log: one line of JSON for each login, each change of users, and each refused operation."""

    output: str = "off"
    """Where it goes: `off`, `stdout`, `otlp` (logs of OpenTelemetry, to the collector that the variables
    `OTEL_EXPORTER_OTLP_…` name), or the absolute path of a file, such as `/var/log/s3sftp/audit.log`, to
    which the server appends. The file may be rotated at any time."""
    files: bool = False
    """Whether it also has a line for each file that was uploaded or downloaded, however that ended, and for
    each request that changed something, such as a rename."""
    chain: bool = False
    """Whether each line has the hash of the line before, so that `s3sftp audit verify` finds lines that were
    changed, removed or inserted. For a file."""
    chain_key_file: LocalPath | None = None
    """A file with a key of at least 32 bytes, by which the hashes are computed: whoever can write the log and
    cannot read the key cannot forge a line. Read at start."""
    anchor_interval: PositiveDuration = timedelta(minutes=5)
    """How often each process logs the hash of the last line that it has written (`audit.anchored`): what was
    cut off before it is found."""

    @field_validator("output")
    @classmethod
    def _known_output(cls, text: str) -> str:
        if text not in ("off", "stdout", "otlp") and (not text.startswith("/") or "\0" in text):
            raise ValueError("should be 'off', 'stdout', 'otlp', or the absolute path of a file")
        return text

    @model_validator(mode="after")
    def _chain_has_a_file(self) -> Self:
        if self.chain and self.file is None:
            raise ValueError(f"chain = true needs a file: output = {self.output!r} is none")
        if self.chain_key_file is not None and not self.chain:
            raise ValueError("chain_key_file needs chain = true")
        return self

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
    slow: PositiveDuration = timedelta(seconds=1)
    """An operation or a transfer that takes this long is not ordinary: all of its spans are exported, as are
    those of one that fails. Only while `OTEL_TRACES_SAMPLER` is not set."""
    ordinary_spans: int = Field(default=25, ge=0, le=1_000_000)
    """How many spans of ordinary operations, transfers and their requests each process exports in a second,
    on average of the last 20 seconds; the rest is dropped. Only while `OTEL_TRACES_SAMPLER` is not set:
    `always_on` exports all."""
