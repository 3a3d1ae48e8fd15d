"""Relates the hook to the storage: which directories its users may have, and what it needs."""

from __future__ import annotations

from s3sftp.app.options import ServerOptions
from s3sftp.auth.hook.transfer_family import HookHome
from s3sftp.backends.s3.keys import RESERVED


def hook_home(options: ServerOptions) -> HookHome:
    """Where in the storage the users of the hook may have their directories."""
    bucket = options.hook.bucket if options.hook is not None else ""
    if options.backend != "s3" or options.s3 is None:
        return HookHome(bucket)
    return HookHome(bucket or options.s3.bucket, options.s3.prefix, RESERVED.decode())
