"""Options of the `[log]` group."""

from __future__ import annotations

from typing import Literal

from s3sftp.config import Options


class LogOptions(Options):
    """What the server logs, and how. Logs go to standard error, one event a line."""

    format: Literal["json", "logfmt"] = "json"
    """`json` for machines, `logfmt` (`key=value`) for people."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe events that are written."""
