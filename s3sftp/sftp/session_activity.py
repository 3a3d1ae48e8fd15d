"""What one session is doing, for the operator."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SessionActivity:
    """A session at one moment."""

    started_at: float
    """Seconds since the epoch."""
    idle_seconds: float
    """Seconds since bytes last moved, either way."""
    handles: int
    """Files and directories that it has open."""
    operations: int
    """Requests that have arrived."""
    trace_id: str | None
