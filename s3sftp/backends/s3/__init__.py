"""Storage in an S3 bucket: the product's own backend.

    backend ─┬─ listing  reading  removing  renaming ── copying
             ├─ writing ── uploads (state) ── parts, checksums (pure) ── ownership (journal) ── janitor
             └─ facts ── cache
                 all through client.Store.call ── retries (pure), failures (the table), credentials

One file for each family of S3 requests. `check` looks at a bucket before it is trusted.
"""

from s3sftp.backends.s3.backend import S3Backend
from s3sftp.backends.s3.bucket_check import Finding, check
from s3sftp.backends.s3.options import S3Options

__all__ = ["Finding", "S3Backend", "S3Options", "check"]
