"""The admin port: liveness, readiness and metrics over HTTP.

options              where it listens
health               decides on liveness and readiness (pure)
storage_check        what is known about the storage, and when to check again
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
