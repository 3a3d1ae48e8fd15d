"""Builds the chain of sources that answer for logins: the configuration, then whatever else is configured."""

from __future__ import annotations

from contextlib import AsyncExitStack

from s3sftp.app.backends import hook_home
from s3sftp.app.options import ServerOptions
from s3sftp.auth import Authenticator, ChainedUsers, ConfiguredUsers
from s3sftp.telemetry.metrics import Metrics


async def all_sources(
    users: ConfiguredUsers, options: ServerOptions, metrics: Metrics, started: AsyncExitStack
) -> Authenticator:
    """The users of the configuration, followed by those of the hook if there is one. `started` closes what is
    started here.

    Raises ConfigurationError: if the hook's files cannot be used.
    """
    if options.hook is None:
        return users
    from s3sftp.auth.hook.hook_users import HookUsers  # imports aiohttp

    hook = HookUsers(options.hook, hook_home(options), metrics)
    await hook.start()
    started.push_async_callback(hook.close)
    return ChainedUsers([users], hook)
