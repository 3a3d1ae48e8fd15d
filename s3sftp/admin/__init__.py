"""The admin port: liveness, readiness, metrics, the API and the console over HTTP.

options              where it listens, and who may call the API
health               decides on liveness and readiness (pure)
storage_check        what is known about the storage, and when to check again
api_*, openapi       the API: routes, models, tokens, access
console_files        the page for operators, whose files are in console/
http_service         HTTP, with limits for its connections; imported only if the port is configured
"""

from s3sftp.admin.health import HealthFacts, HealthReason, HealthReport, Phase, WorkerState
from s3sftp.admin.options import AdminOptions
from s3sftp.admin.storage_check import StorageCheck

__all__ = [
    "AdminOptions",
    "HealthFacts",
    "HealthReason",
    "HealthReport",
    "Phase",
    "StorageCheck",
    "WorkerState",
]
