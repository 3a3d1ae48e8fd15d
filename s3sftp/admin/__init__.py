"""The admin port: whether the server is alive and ready, and its metrics, over HTTP.

options   where it listens
health    what is said (pure)
storage   what is known of the storage, and when to look again
service   HTTP: imported where there is such a port
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
