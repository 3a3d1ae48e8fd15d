"""Starts or checks the sources of users that the options name, and chains them in order of precedence.

configuration ─► [dynamodb] ─► [secrets_manager] ─► [hook]
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from s3sftp.app.backends import user_homes
from s3sftp.app.options import ServerOptions
from s3sftp.auth import Authenticator, ChainedUsers, ConfiguredUsers
from s3sftp.auth.aws.options import AwsOptions
from s3sftp.auth.sources.asking import SourceFailed
from s3sftp.auth.sources.availability import PROBE_USER
from s3sftp.auth.sources.transfer_family import AnswerProblem
from s3sftp.backends.findings import Finding, State
from s3sftp.errors import ConfigurationError
from s3sftp.telemetry.metric_catalogue import AWS_USER_REQUESTS
from s3sftp.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from s3sftp.auth.aws.aws_users import AwsUsers, Records


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


async def check_sources(options: ServerOptions) -> list[Finding]:
    """Ask each service of AWS once, for a user who does not exist, and report what would keep its users from
    logging in."""
    findings = []
    for records, _ in _aws_records(options, lambda _service, _result: None):
        try:
            await records.start()
            findings.append(await _checked(records))
        except ConfigurationError as error:
            findings.append(Finding(records.service, "failed", "; ".join(error.problems)))
        finally:
            await records.close()
    return findings


async def _checked(records: Records) -> Finding:
    try:
        await records.record(PROBE_USER)
    except SourceFailed as failed:
        # a denial may mean that the policy lists the users' secrets
        state: State = "failed" if failed.is_down else "warning"
        return Finding(records.service, state, f"{records.place}: {failed}")
    except AnswerProblem as problem:
        return Finding(records.service, "warning", f"{records.place}, user {PROBE_USER}: {problem}")
    return Finding(records.service, "ok", f"{records.place}: users can be looked up")


async def _start_aws(
    options: ServerOptions, users: ConfiguredUsers, metrics: Metrics, started: AsyncExitStack
) -> list[AwsUsers]:
    counted = _aws_records(options, lambda *labels: metrics.add(AWS_USER_REQUESTS.row(*labels)))
    if not counted:
        return []
    from s3sftp.auth.aws.aws_users import AwsUsers

    sources = []
    for records, given in counted:
        source = AwsUsers(records, given, user_homes(options, given.bucket), users.verifier, metrics)
        started.push_async_callback(source.close)
        await source.start()
        sources.append(source)
    return sources


def _aws_records(
    options: ServerOptions, count: Callable[[str, str], None]
) -> list[tuple[Records, AwsOptions]]:
    """What looks users up in each service, not started. `count` gets the service and the result of each
    request."""
    found: list[tuple[Records, AwsOptions]] = []
    if options.dynamodb is not None:
        from s3sftp.auth.aws.dynamodb import UsersTable  # imports aiobotocore

        found.append((UsersTable(options.dynamodb, partial(count, "dynamodb")), options.dynamodb))
    if options.secrets_manager is not None:
        from s3sftp.auth.aws.secrets_manager import UserSecrets

        secrets = UserSecrets(options.secrets_manager, partial(count, "secrets_manager"))
        found.append((secrets, options.secrets_manager))
    return found
