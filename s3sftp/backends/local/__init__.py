"""A directory of this machine as storage."""

from s3sftp.backends.local.backend import LocalBackend
from s3sftp.backends.local.options import LocalOptions

__all__ = ["LocalBackend", "LocalOptions"]
