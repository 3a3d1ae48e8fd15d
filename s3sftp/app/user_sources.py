"""Starts the sources of users that the options name, and chains them in the order of their precedence.

configuration ─► [dynamodb] ─► [secrets_manager] ─► [hook]
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from s3sftp.app.backends import user_homes
from s3sftp.app.options import ServerOptions
from s3sftp.auth import Authenticator, ChainedUsers, ConfiguredUsers
from s3sftp.auth.aws.options import AwsOptions
from s3sftp.telemetry.metric_catalogue import AWS_USER_REQUESTS
from s3sftp.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from s3sftp.auth.aws.aws_users import AwsUsers


async def start_sources(
    options: ServerOptions, users: ConfiguredUsers, metrics: Metrics, started: AsyncExitStack
) -> Authenticator:
    """The users of the configuration, followed by those of the other sources. `started` stops these.

    Raises ConfigurationError: if the options or files of a source cannot be used.
    """
    of_aws = await _start_aws(options, users, metrics, started)
    if options.hook is None:
        return ChainedUsers([users, *of_aws[:-1]], of_aws[-1]) if of_aws else users
    from s3sftp.auth.hook.hook_users import HookUsers  # imports aiohttp

    hook = HookUsers(options.hook, user_homes(options, options.hook.bucket), metrics)
    await hook.start()
    started.push_async_callback(hook.close)
    return ChainedUsers([users, *of_aws], hook)


async def _start_aws(
    options: ServerOptions, users: ConfiguredUsers, metrics: Metrics, started: AsyncExitStack
) -> list[AwsUsers]:
    if options.dynamodb is None and options.secrets_manager is None:
        return []
    from s3sftp.auth.aws.aws_users import AwsUsers, Records  # imports aiobotocore
    from s3sftp.auth.aws.dynamodb import UsersTable
    from s3sftp.auth.aws.secrets_manager import UserSecrets

    def counter(service: str) -> Callable[[str], None]:
        return lambda result: metrics.add(AWS_USER_REQUESTS.row(service, result))

    services: list[tuple[Records, AwsOptions]] = []
    if options.dynamodb is not None:
        services.append((UsersTable(options.dynamodb, counter("dynamodb")), options.dynamodb))
    if options.secrets_manager is not None:
        secrets = UserSecrets(options.secrets_manager, counter("secrets_manager"))
        services.append((secrets, options.secrets_manager))
    sources = []
    for records, given in services:
        source = AwsUsers(records, given, user_homes(options, given.bucket), users.verifier, metrics)
        started.push_async_callback(source.close)
        await source.start()
        sources.append(source)
    return sources
