"""The admin port: liveness, readiness, metrics, the API and the console over HTTP.

options              where it listens, and who may call the API
health               decides on liveness and readiness (pure)
storage_check        what is known about the storage, and when to check again
http_service         HTTP; imported only if the port is configured. connection_limits: of its connections; tls
api_routes           the calls of the API, as one table; api_models/: what they take and answer; openapi: both
api_service          a call over HTTP; api_access, api_tokens: who may call; api_problems: why not
console_files        the page for operators, whose files are in console/
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
