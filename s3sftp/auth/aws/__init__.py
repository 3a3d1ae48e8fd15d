"""Users in AWS: in a table of DynamoDB, or in secrets of Secrets Manager. Credentials are verified here."""

from s3sftp.auth.aws.options import DynamoDbOptions, SecretsManagerOptions

__all__ = ["DynamoDbOptions", "SecretsManagerOptions"]
