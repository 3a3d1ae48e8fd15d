"""Options of the `[shared_state]` group."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, field_validator

from s3sftp.auth.aws.options import AwsServiceOptions
from s3sftp.config import PositiveDuration


class SharedStateOptions(AwsServiceOptions):
    """A table of DynamoDB by which replicas share bans, used verification codes and quotas. See
    shared-state.md."""

    dynamodb_table: str = Field(pattern=r"^([A-Za-z0-9_.-]{3,255}|arn:[A-Za-z0-9_.:/-]{1,1000})$")
    """Name or ARN of the table. Its partition key is the string `pk`, its sort key the string `sk`, and its
    attribute for time to live `expires`."""
    timeout: PositiveDuration = timedelta(seconds=3)
    """How long one request may take, with all repetitions. A login with a verification code waits for
    one, an upload where there is a quota for one or two. Less than `auth.answer_timeout`."""
    interval: PositiveDuration = timedelta(seconds=5)
    """How often a server reads the bans of the others, and tells them what it has stored where there are
    quotas. At least 1 s. Its own bans reach the table at once. What a replica held that was killed is free
    after 15 intervals."""
    unproven_codes: Literal["refuse", "accept"] = "refuse"
    """What to do with a right verification code while the table does not answer, so that nobody knows whether
    another replica has accepted it. `refuse`: refuse the login, without a ban. `accept`: accept the code once
    on each replica, as without a table."""

    @field_validator("interval")
    @classmethod
    def _not_too_often(cls, interval: timedelta) -> timedelta:
        if interval < timedelta(seconds=1):
            raise ValueError("should be at least 1 s: each replica pays for each request")
        return interval
