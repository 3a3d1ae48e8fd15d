"""What replicas share through a table of DynamoDB: bans, used verification codes, and quotas."""

from s3sftp.shared_state.options import SharedStateOptions

__all__ = ["SharedStateOptions"]
