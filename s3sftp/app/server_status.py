"""What the admin API says of the server as a whole. Pure."""

from __future__ import annotations

from s3sftp.admin import HealthReport
from s3sftp.admin.api_models import Dependency, ServerCounters
from s3sftp.app.options import ServerOptions
from s3sftp.telemetry.metric_catalogue import (
    BUFFER_LIMIT_BYTES,
    BUFFERED_BYTES,
    CONNECTIONS,
    OPEN_HANDLES,
    SESSIONS,
)
from s3sftp.telemetry.metrics import Metrics

_CONCERNS = {
    "storage_unreachable": "storage",
    "permission_denied": "permissions",
    "hook_down": "hook",
    "shared_state_down": "shared_state",
    "revocations_unusable": "revocations",
    "no_worker_ready": "workers",
    "workers_missing": "workers",
    "worker_hangs": "workers",
}
"""The dependency that a reason or warning of health concerns."""


def dependencies(options: ServerOptions, workers: int, report: HealthReport) -> list[Dependency]:
    """Each thing that the server needs, and what the report says of it."""
    names = ["storage", "permissions"]
    names += ["workers"] if workers > 1 else []
    names += [
        name
        for name in ("hook", "dynamodb", "secrets_manager", "shared_state")
        if getattr(options, name) is not None
    ]
    names += ["revocations"] if options.auth.revoked_keys else []
    details: dict[str, list[str]] = {name: [] for name in names}
    for reason in (*report.reasons, *report.warnings):
        concern = _CONCERNS.get(reason.name)
        if reason.name == "aws_users_down":  # begins with the name of the service
            concern = reason.detail.partition(" ")[0]
        if concern is not None:
            details.setdefault(concern, []).append(reason.detail)
    return [Dependency(name=name, ok=not found, detail="; ".join(found)) for name, found in details.items()]


def server_counters(metrics: Metrics) -> ServerCounters:
    """What there is now, in all workers."""
    total = metrics.table.total
    return ServerCounters(
        connections=total(CONNECTIONS.row()),
        sessions=total(SESSIONS.row()),
        open_handles=sum(total(OPEN_HANDLES.row(*values)) for values in OPEN_HANDLES.series),
        buffered_bytes=total(BUFFERED_BYTES.row()),
        buffer_bytes=total(BUFFER_LIMIT_BYTES.row()),
    )
