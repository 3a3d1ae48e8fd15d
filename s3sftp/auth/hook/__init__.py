"""Users of an HTTP hook: a service of the operator that answers who may log in, and as whom."""

from s3sftp.auth.hook.options import HookOptions

__all__ = ["HookOptions"]
