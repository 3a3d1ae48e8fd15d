"""Stores files in an S3 bucket.

    backend ─┬─ read/  namespace/ (listing, directories, removing, renaming)
             ├─ write/ ── uploads ── part_sizes, checksums/ (pure)
             │              └─ recovery/: upload_journal ─┬─ disk_journal
             │                    ▲                       └─ bucket_journal ── liveness (pure)
             │                    └─ janitor
             └─ metadata/: lookup ── cache
                 all through client.S3Client.call ── retry_policy (pure), errors (the table), credentials/

Each family of S3 requests has a module. `preflight` probes a bucket before the server relies on it.

The exports are imported on first use, because the options alone do not need an S3 client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from s3sftp.backends.s3.options import S3Options

if TYPE_CHECKING:
    from s3sftp.backends.s3.backend import S3Backend
    from s3sftp.backends.s3.preflight.check import check

_LATE = {"S3Backend": "backend", "check": "preflight.check"}

__all__ = ["S3Backend", "S3Options", "check"]


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
