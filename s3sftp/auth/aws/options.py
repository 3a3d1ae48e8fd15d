"""Options of the `[dynamodb]` and `[secrets_manager]` groups."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from s3sftp.config import Duration, PositiveDuration
from s3sftp.config.aws_access import AwsAccessOptions

MAX_CONNECTIONS = 32
"""Connections of one process to each service; further requests wait for one."""


class AwsServiceOptions(AwsAccessOptions):
    """How a service of AWS is reached."""

    timeout: PositiveDuration = timedelta(seconds=5)
    """How long one look-up may take, with all repetitions. Less than `auth.answer_timeout`."""
    retries: int = Field(default=2, ge=0, le=10)
    """How often a request is repeated, within `timeout`, if the service throttles it, fails, or cannot be
    reached."""


class AwsOptions(AwsServiceOptions):
    """How a service of AWS is asked for users."""

    cache_time: Duration = timedelta(0)
    """How long a user that was found is remembered. For so long changes of the user have no effect on
    logins. Plain text passwords are remembered only as a keyed hash. 0: every login asks the service."""
    role: Literal["refuse", "ignore"] = "refuse"
    """What to do with a `Role`. The server uses its own credentials and assumes no role. `refuse`: refuse the
    login. `ignore`: accept it; access is limited by the home directory alone."""
    policy: Literal["refuse", "ignore"] = "refuse"
    """The same for a `Policy`, which limits the rights of the role."""
    bucket: str = ""
    """The bucket that `HomeDirectory` and `HomeDirectoryDetails` name. Default: `s3.bucket`."""
    max_failures: int = Field(default=5, ge=1, le=1000)
    """After so many look-ups without an answer in a row, one process asks for the user `s3sftp-probe`. If
    that has no answer either, it asks the service no more for users: their logins are refused at once until
    the service answers again."""
    probe_interval: PositiveDuration = timedelta(seconds=10)
    """How often a process asks a service that is down whether it answers again, for the user
    `s3sftp-probe`."""


class DynamoDbOptions(AwsOptions):
    """A table of DynamoDB with users who are not in the configuration. See aws-users.md."""

    users_table: str = Field(pattern=r"^([A-Za-z0-9_.-]{3,255}|arn:[A-Za-z0-9_.:/-]{1,1000})$")
    """Name or ARN of the table. Each user is an item."""
    key_attribute: str = Field(default="user", min_length=1, max_length=255)
    """The attribute that is the table's partition key: the name of the user, a string. The table has no sort
    key."""


class SecretsManagerOptions(AwsOptions):
    """Secrets of AWS Secrets Manager, each with a user who is not in the configuration. See aws-users.md."""

    prefix: str = Field(pattern=r"^[A-Za-z0-9/_+=.@-]{1,400}$")
    """The name of each user's secret up to the name of the user, such as
    `aws/transfer/s-1234567890abcdef0/`, where AWS's sample provider for Transfer Family has it."""
