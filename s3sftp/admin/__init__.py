"""The admin port: liveness, readiness, metrics and the API over HTTP.

options              where it listens
health               decides on liveness and readiness (pure)
storage_check        what is known about the storage, and when to check again
http_service         HTTP; imported only if the port is configured. connection_limits: of its connections; tls
api_routes           the calls of the API, as one table; api_models: what they take and answer; openapi: both
api_service          a call over HTTP; api_access, api_tokens: who may call; api_problems: why not
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
