"""The server as a whole: its state, what it depends on, its options, versions and log level."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from s3sftp.admin.api_models.common import ApiAnswer, ApiInput

LogLevelName = Literal["debug", "info", "warning", "error"]


class Dependency(ApiAnswer):
    """Something that the server needs."""

    name: str
    """`storage`, `storage NAME`, `workers`, `hook`, `dynamodb`, `secrets_manager`, `shared_state`,
    `revocations` or `permissions`."""
    ok: bool
    detail: str = ""
    """What is wrong, and what to do; empty if nothing is."""


class ServerCounters(ApiAnswer):
    """What there is now, in all workers together."""

    connections: NonNegativeInt
    sessions: NonNegativeInt
    open_handles: NonNegativeInt
    buffered_bytes: NonNegativeInt
    """File content in memory; at most a second old."""
    buffer_bytes: NonNegativeInt
    """What may be in memory."""


class ServerStatus(ApiAnswer):
    """The server as a whole."""

    version: str
    started_at: datetime
    uptime_seconds: NonNegativeFloat
    state: Literal["starting", "ready", "unready", "draining"]
    workers: NonNegativeInt
    log_level: LogLevelName
    dependencies: list[Dependency]
    counters: ServerCounters


class LogLevelRequest(ApiInput):
    """A level for all processes, until the server restarts."""

    level: LogLevelName


class LogLevel(ApiAnswer):
    """The level in force."""

    level: LogLevelName
    configured: LogLevelName
    not_answered: list[int] = Field(default=[])


class ConfigurationView(ApiAnswer):
    """The options in force, by group. In the place of a secret there is `***`."""

    options: dict[str, Any]


class VersionView(ApiAnswer):
    """The versions of the server and of what it runs on."""

    version: str
    python: str
