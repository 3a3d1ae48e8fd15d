"""Reloads users without a restart, when a configuration file changes or on SIGHUP.

    poll ──► changed? ──► wait until written ──► read, check ┬─► valid: replace users, log changes
                                                             └─► invalid: log it, keep the current users

Files are read and checked in a thread. Only users change; other changed options are logged by name, and take
effect at the next start.
"""

from __future__ import annotations

import asyncio
import hashlib
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from s3sftp.app.config_diff import MAX_CHANGES, ConfigDiff, diff_configurations
from s3sftp.app.options import Configuration, ServerOptions
from s3sftp.auth import AccountChanges, Accounts, log_account_problems, log_unused_groups
from s3sftp.auth.mount_roles import refused_roles
from s3sftp.config import Snapshot, SourceFiles
from s3sftp.errors import ConfigurationError, describe_unexpected
from s3sftp.runtime.cancellation import cancel_and_wait
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.event_tap import tap

_log = get_logger("s3sftp.reloading")
_QUIET_SECONDS = 0.5
"""A file that has not changed for this long counts as completely written."""
_AGAIN_SECONDS = 60.0
"""How often to retry a change that could not be applied even if no file has changed since: the cause may have
been a disk error or a shortage."""
_MAX_LOGGED = 20
"""Names in one line of the log, and lines for one reload."""
_NOBODY_LEFT = (
    "none of the {} users is left, so their files may have got lost:"
    " to remove all of them, send SIGHUP or restart"
)
"""An empty directory is more often an empty Secret, or a volume that is not mounted, than a wish to have no
users."""

Read = Callable[[SourceFiles], Configuration]
"""Reads the whole configuration and records the files it comes from. Called in a thread. Raises
ConfigurationError."""
Apply = Callable[[Accounts], Awaitable[None]]
"""Replaces all users at once."""
Reloaded = Callable[[bool, int], None]
"""Called after each reload, for metrics: whether it was applied, and the current number of users."""


class ConfigReloader:
    """Reloads the configuration for as long as the server runs. Call `start` and `stop` once each."""

    def __init__(
        self,
        read: Read,
        configuration: Configuration,
        sources: SourceFiles,
        apply: Apply,
        reloaded: Reloaded = lambda _applied, _users: None,
    ) -> None:
        """`configuration` is what the server starts with, read from `sources`."""
        self._read = read
        self._started_with = configuration.options
        self._logins = configuration.logins
        self._interval = configuration.options.server.reload_interval
        self._sources = sources
        self._seen: Snapshot = sources.recorded()
        """The files as they were when they were read."""
        self._problems: Sequence[str] = ()
        """The problems of the last reload, if it could not be applied."""
        self._try_again_at = 0.0
        self._host_keys = _Contents(configuration.options.ssh.host_keys)
        self._apply = apply
        self._reloaded = reloaded
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def install(self) -> None:
        """Make SIGHUP request a reload."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.ask)

    def ask(self) -> None:
        """Reload now, whether files have changed or not."""
        self._asked.set()

    def start(self) -> None:
        """Start to poll for changes, including those since the files were read."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop polling for changes."""
        await cancel_and_wait(self._task)

    async def _run(self) -> None:
        while True:
            asked = await self._next_turn()
            try:
                if asked and not self._sources:
                    _log.info(
                        "config.reload_skipped",
                        reason="the configuration comes from flags and the environment alone",
                    )
                elif asked or self._is_due_again() or await self._snapshot() != self._seen:
                    await self._reload(asked)
                if await asyncio.to_thread(self._host_keys.have_changed):
                    _log.warning("host_key.changed", advice="restart the server to use the new keys")
            except Exception as error:
                self._failed([describe_unexpected(error)], asked)

    async def _next_turn(self) -> bool:
        """Wait until the next poll or request. Returns whether it was requested."""
        seconds = self._interval.total_seconds() if self._sources else 0
        if self._problems:
            seconds = min(seconds, _AGAIN_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds or None):
                await self._asked.wait()
        asked = self._asked.is_set()
        self._asked.clear()
        return asked

    def _is_due_again(self) -> bool:
        return bool(self._problems) and asyncio.get_running_loop().time() >= self._try_again_at

    async def _snapshot(self) -> Snapshot:
        return await asyncio.to_thread(self._sources.now)

    async def _until_quiet(self) -> None:
        """Wait until the files stop changing: a half-written file may be valid and have only half of the
        users."""
        before, now = None, await self._snapshot()
        while now != before:
            await asyncio.sleep(_QUIET_SECONDS)
            before, now = now, await self._snapshot()

    async def _reload(self, asked: bool) -> None:
        found = await self._read_whole()
        if not isinstance(found, Configuration):
            self._failed(found, asked)
            return
        # whatever looks at each of many users would hold up clients on the event loop
        if unknown := await asyncio.to_thread(_impossible_mounts, found.logins.accounts, self._started_with):
            self._failed(unknown, asked)
            return
        before = len(self._logins.accounts)
        if before > 1 and not found.logins.accounts and not asked:
            self._failed([_NOBODY_LEFT.format(before)], asked)
            return
        changes = await asyncio.to_thread(
            diff_configurations, self._started_with, self._logins, found, all_changes=tap.is_read
        )
        if changes.any_user:
            await self._apply(found.logins.accounts)
        self._logins = found.logins
        self._interval = found.options.server.reload_interval
        await asyncio.to_thread(self._log_changes, changes, asked or bool(self._problems))
        if tap.is_read:
            await asyncio.to_thread(_observe_changes, changes)
        self._problems = ()
        self._reloaded(True, len(self._logins.accounts))

    async def _read_whole(self) -> Configuration | Sequence[str]:
        """The configuration, read while no file changed; or its problems."""
        while True:
            await self._until_quiet()
            self._sources = SourceFiles()
            found = await asyncio.to_thread(self._attempt, self._sources)
            self._seen = self._sources.recorded()
            if await self._snapshot() == self._seen:
                return found

    def _attempt(self, sources: SourceFiles) -> Configuration | Sequence[str]:
        try:
            return self._read(sources).without_tables()  # which takes a while to free, so not on the loop
        except ConfigurationError as error:
            return error.problems

    def _failed(self, problems: Sequence[str], asked: bool) -> None:
        """Keep the current users and log the reason, unless it has been logged already."""
        if asked or list(problems) != list(self._problems):
            self._log_problems(problems)
        self._problems = problems
        self._try_again_at = asyncio.get_running_loop().time() + _AGAIN_SECONDS
        self._reloaded(False, len(self._logins.accounts))

    def _log_problems(self, problems: Sequence[str]) -> None:
        for problem in problems[:_MAX_LOGGED]:
            _log.error("config.reload_failed", problem=problem, detail="the users stay as they are")
        if len(problems) > _MAX_LOGGED:
            _log.error("config.reload_failed", suppressed=len(problems) - _MAX_LOGGED)

    def _log_changes(self, changes: ConfigDiff, awaited: bool) -> None:
        """Log the changes: at info level if users have changed or somebody waits for the result, else at
        debug level."""
        log = _log.info if awaited or changes.any_user else _log.debug
        log(
            "config.reloaded",
            users=len(self._logins.accounts),
            added=len(changes.added),
            removed=len(changes.removed),
            changed=len(changes.changed),
            added_users=_some(changes.added),
            removed_users=_some(changes.removed),
            changed_users=_some(changes.changed),
        )
        for user, change in list(changes.changes.items())[:MAX_CHANGES]:
            _log.info("user.changed", user=user, **_fields(change))
        if changes.need_restart:
            _log.warning(
                "config.restart_required",
                options=_some(changes.need_restart),
                detail="the server keeps the values that it started with",
            )
        if changes.any_user or changes.keys_to_report:
            names = {*changes.added, *changes.changed, *changes.keys_to_report}
            log_account_problems(self._logins, names, has_other_users=self._started_with.has_other_users)
        log_unused_groups(changes.unused_groups[:_MAX_LOGGED])


def _impossible_mounts(accounts: Accounts, options: ServerOptions) -> list[str]:
    """The problem with each mount in a storage that the running server does not have, or with a role that it
    does not assume."""
    roles = options.mount_roles
    problems = [
        f"users.{user}.mounts.{path!r}: {problem} in the running server; restart it to use it"
        for user, account in accounts.items()
        for path, problem in refused_roles(account.identity.mounts, roles)
    ]
    return problems + [
        f"users.{user}.mounts.{mount.path!r}: storage {mount.storage!r} is new; restart the server to use it"
        for user, account in accounts.items()
        for mount in account.identity.mounts
        if mount.storage and mount.storage not in options.storages
    ]


def _observe_changes(changes: ConfigDiff) -> None:
    """For the audit log, which has each change of a user."""
    for user in changes.removed:
        tap.observe("user.removed", user=user)
    for user, added in changes.additions.items():
        tap.observe("user.added", user=user, **_fields(added))
    for user, changed in changes.changes.items():
        tap.observe("user.changed", user=user, **_fields(changed))


def _fields(change: AccountChanges) -> dict[str, Any]:
    return {
        "before": dict(change.before) or None,
        "after": dict(change.after) or None,
        "credentials": list(change.credentials) or None,
    }


def _some(names: Sequence[str]) -> list[str] | None:
    return list(names[:_MAX_LOGGED]) or None


class _Contents:
    """Files compared by content, because a rewrite with the same content does not matter."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._sources = SourceFiles()
        self._files = files
        self._recorded: Snapshot = {}
        self._digests: list[bytes] = []
        self.have_changed()

    def have_changed(self) -> bool:
        """Whether a file has changed since the previous call. Must run in a thread."""
        for file in self._files:
            self._sources.note(file)
        recorded = self._sources.recorded()
        if recorded == self._recorded:
            return False
        before, self._recorded = self._digests, recorded
        self._digests = [_digest_of(file) for file in self._files]
        return bool(before) and before != self._digests


def _digest_of(file: Path) -> bytes:
    try:
        return hashlib.sha256(file.read_bytes()).digest()
    except OSError:
        return b""
