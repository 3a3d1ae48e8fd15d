"""Storage in an S3 bucket: the product's own backend.

    backend ─┬─ listing  reading  removing  renaming ── copying
             ├─ writing ── uploads (state) ── parts, checksums (pure) ── ownership (journal) ── janitor
             │                                                        ├─ journal_disk
             │                                                        └─ journal_bucket ── silence (pure)
             └─ facts ── cache
                 all through client.Store.call ── retries (pure), failures (the table), credentials

One file for each family of S3 requests. `check` looks at a bucket before it is trusted.

What is exported is loaded when it is first used: the options alone do not need an S3 client.
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
