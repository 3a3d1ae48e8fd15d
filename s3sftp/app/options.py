"""Defines and loads all options: the only module that combines every group."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from s3sftp.admin import AdminOptions
from s3sftp.admin.tls import access_problems
from s3sftp.app.storage_options import mount_roles_of, policy_problems, storage_problems
from s3sftp.app.user_files import KINDS
from s3sftp.app.user_loading import LoadedUsers, load_users
from s3sftp.app.user_tables import UserTables
from s3sftp.auth import (
    AuthOptions,
    BadRevocations,
    GroupOptions,
    LimitOptions,
    Logins,
    RevocationFile,
    UserOptions,
)
from s3sftp.auth.aws import DynamoDbOptions, SecretsManagerOptions
from s3sftp.auth.hook import HookOptions
from s3sftp.auth.hook.credentials import read_credentials
from s3sftp.auth.mount_roles import MountRoles
from s3sftp.backends.local.options import LocalOptions
from s3sftp.backends.registry import BUILT_IN, backend_name_problem
from s3sftp.backends.s3 import S3Options
from s3sftp.backends.s3.keys import RESERVED
from s3sftp.backends.service.options import ServiceOptions
from s3sftp.config import (
    Duration,
    LocalPath,
    Options,
    Setting,
    Settings,
    SourceFiles,
    from_environment,
    from_toml,
    read,
)
from s3sftp.errors import ConfigurationError
from s3sftp.events.options import EventsOptions
from s3sftp.fs import FileOptions
from s3sftp.fs.options import MIN_BUFFER_BYTES
from s3sftp.sftp import SftpOptions
from s3sftp.shared_state import SharedStateOptions
from s3sftp.ssh import ListenOptions, SshOptions
from s3sftp.ssh.host_keys import load
from s3sftp.telemetry.options import AuditOptions, LogOptions, TracingOptions

_OTHER_SOURCES = ("dynamodb", "secrets_manager", "hook")
"""Groups of the sources of users beside the configuration."""


def default_state_dir() -> Path:
    """The default state directory: `$STATE_DIRECTORY` (systemd), `$XDG_STATE_HOME/s3sftp`, `/var/lib/s3sftp`
    for root and for users without a home, else a directory below the home. It may not exist, and may not be
    needed."""
    if given := os.environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    if xdg := os.environ.get("XDG_STATE_HOME"):
        return Path(xdg) / "s3sftp"
    if os.geteuid() == 0:
        return Path("/var/lib/s3sftp")
    try:
        home = Path.home()
    except RuntimeError:  # neither $HOME nor an entry in passwd: an arbitrary uid in a container
        home = Path("/")
    return Path("/var/lib/s3sftp") if home == Path("/") else home / ".local" / "state" / "s3sftp"


class ProcessOptions(Options):
    """`[server]`: the process itself."""

    state_dir: LocalPath = Field(default_factory=default_state_dir)
    """Where to keep what has to survive a restart, the generated host keys and the journal of unfinished
    uploads, and where `s3sftp bans` finds the server. It need not be writable if
    `ssh.host_keys` is set and `s3.journal` is not `disk`: then only `s3sftp bans` does not work. Default:
    `$STATE_DIRECTORY`, `$XDG_STATE_HOME/s3sftp`, `/var/lib/s3sftp` for root and without a home, else
    `~/.local/state/s3sftp`."""
    drain_timeout: Duration = timedelta(seconds=30)
    """How long running transfers may take to finish after a request to stop."""
    drain_delay: Duration = timedelta(0)
    """How long the server keeps serving after a request to stop, while `/readyz` already reports it: load
    balancers need this time to send new connections elsewhere. `drain_timeout` begins afterwards. A second
    signal ends the delay."""
    workers: int | None = Field(default=None, ge=1, le=256)
    """Number of processes that serve connections, each using one processor. Default: the number of processors
    that the process may use, by affinity and by the quota of its container, but so that each worker keeps at
    least 32 MiB of `files.buffer_bytes`. 1: only this process. The default is 1 for the `memory` backend and
    for storages of other packages, because each worker makes a storage of its own; `memory` allows no other
    number."""
    worker_timeout: Duration = timedelta(minutes=1)
    """A worker that has not answered the supervisor for this long hangs: it is killed and replaced, and its
    clients have to reconnect. It gets no new connections after 5 s without an answer, or after a quarter of
    this time if that is less. Load delays answers by seconds, never by a minute. At least 2 s; 0 never kills
    workers, for use with a debugger."""

    reload_interval: Duration = timedelta(seconds=10)
    """How often to check whether the configuration file, or a file of users or keys that it names, has
    changed. If so, it is read again, and users change without a restart. 0: only on SIGHUP."""

    @field_validator("worker_timeout")
    @classmethod
    def _more_than_load(cls, limit: timedelta) -> timedelta:
        if timedelta(0) < limit < timedelta(seconds=2):
            raise ValueError("should be 0, or at least 2 s: a worker that is busy answers late")
        return limit


def _usable_storage_name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", name):
        raise ValueError(
            "the name of a storage should be 1 to 40 lower-case letters, digits, '-' or '_', a letter first"
        )
    return name


StorageName = Annotated[str, AfterValidator(_usable_storage_name)]


class ServerOptions(Options):
    """Everything that can be configured."""

    backend: str = "s3"
    """Where files are stored: `s3`, `local` (a directory of this machine), `service` (a storage in a process
    of its own), or `memory` (lost when the server stops; for trials). Or the name of a storage that another
    package provides."""
    backend_options: dict[str, Any] = Field(default_factory=dict)
    """The options of a storage that another package provides, as a table of any options that it knows. Values
    from the environment are texts, and so are dates and times of day."""
    listen: ListenOptions = Field(default_factory=ListenOptions)
    ssh: SshOptions = Field(default_factory=SshOptions)
    auth: AuthOptions = Field(default_factory=AuthOptions)
    users: dict[str, UserOptions] = Field(default_factory=dict)
    groups: dict[str, GroupOptions] = Field(default_factory=dict)
    hook: HookOptions | None = None
    dynamodb: DynamoDbOptions | None = None
    secrets_manager: SecretsManagerOptions | None = None
    shared_state: SharedStateOptions | None = None
    limits: LimitOptions = Field(default_factory=LimitOptions)
    s3: S3Options | None = None
    storages: dict[StorageName, S3Options] = Field(default_factory=dict)
    """Further buckets, by the names that users' mounts have as `storage`. Each has the options of `[s3]`."""
    local: LocalOptions | None = None
    service: ServiceOptions | None = None
    files: FileOptions = Field(default_factory=FileOptions)
    sftp: SftpOptions = Field(default_factory=SftpOptions)
    log: LogOptions = Field(default_factory=LogOptions)
    audit: AuditOptions = Field(default_factory=AuditOptions)
    tracing: TracingOptions = Field(default_factory=TracingOptions)
    events: EventsOptions = Field(default_factory=EventsOptions)
    server: ProcessOptions = Field(default_factory=ProcessOptions)
    admin: AdminOptions = Field(default_factory=AdminOptions)

    @property
    def storage_names(self) -> tuple[str, ...]:
        """The names of all storages. The first, that of `backend`, is empty."""
        return ("", *self.storages)

    def of_storage(self, name: str) -> ServerOptions:
        """The options as if this storage were the only one."""
        if not self.storages:
            return self
        return self.model_copy(update={"s3": self.storages[name] if name else self.s3, "storages": {}})

    @property
    def mount_roles(self) -> MountRoles:
        """The roles that mounts may have, by storage."""
        return mount_roles_of({"backend": self.backend, "s3": self.s3, "storages": self.storages})

    @property
    def has_other_users(self) -> bool:
        """Whether a source beside the configuration has users."""
        return any(source is not None for source in (self.hook, self.dynamodb, self.secrets_manager))


@dataclass(frozen=True, slots=True)
class Configuration:
    """The options, and the users in the form that logins need."""

    options: ServerOptions
    logins: Logins
    tables: UserTables = field(default_factory=UserTables)
    """What each user's options come from."""

    def without_tables(self) -> Configuration:
        """The same without the users' and groups' tables, to save memory: `logins` has what matters."""
        return Configuration(self.options.model_copy(update={"users": {}, "groups": {}}), self.logins)


def load_options(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Iterable[Setting] = (),
    *,
    needs_users: bool = True,
) -> ServerOptions:
    """Load the options: flags override the environment, which overrides the file, which overrides defaults.

    Raises ConfigurationError: if any option is wrong; lists every problem.
    """
    in_file = from_toml(file) if file else []
    return load_configuration(in_file, environ, flags, SourceFiles(), needs_users=needs_users).options


def load_configuration(
    in_file: Iterable[Setting],
    environ: Mapping[str, str] | None,
    flags: Iterable[Setting],
    sources: SourceFiles,
    *,
    needs_users: bool = True,
    checks_host_keys: bool = True,
) -> Configuration:
    """Like `load_options`, from a file's settings, and with all users' keys. The files that these lead to are
    recorded in `sources`.

    Raises ConfigurationError: if any option is wrong; lists every problem.
    """
    environment = from_environment(os.environ if environ is None else environ, {"backend"})
    settings = Settings.layered(in_file, environment, flags)
    reading = read(ServerOptions, settings, apart=KINDS)
    auth = reading.values.get("auth") or AuthOptions()
    users = load_users(
        settings,
        sources,
        auth,
        reserved_name(settings),
        _storage_names(settings),
        mount_roles_of(reading.values),
    )
    reading.values |= {"users": users.tables.users, "groups": users.tables.groups}
    problems = [*users.problems, *reading.problems, *_between_groups(reading.values, settings)]
    if checks_host_keys and "ssh" in reading.values:
        problems += _host_key_problems(reading.values["ssh"])
    if checks_host_keys and "auth" in reading.values:  # a running server looks at the list for each login
        problems += _revocation_problems(reading.values["auth"])
    if reading.values.get("hook") is not None:
        problems += _hook_problems(reading.values, reads_files=checks_host_keys)
    if checks_host_keys and reading.values.get("admin") is not None:
        problems += access_problems(reading.values["admin"])
    problems += _timeout_problems(reading.values)
    problems += policy_problems(reading.values, users.logins.accounts)
    if needs_users and not (users.are_configured or any(settings.below(name) for name in _OTHER_SOURCES)):
        problems.append(
            "there are no users: add a [users.NAME] table, or a [hook], [dynamodb] or [secrets_manager], or"
            " use --user with --authorized-keys"
        )
    if problems:
        raise ConfigurationError(_unique(problems))
    return Configuration(ServerOptions(**reading.values), users.logins, users.tables)


def load_users_alone(file: Path | None, more: Sequence[Path], sources: SourceFiles) -> LoadedUsers:
    """Load only the users: of a configuration file and the environment, and of `more` files and directories.
    Without a configuration file, `more` are all that counts.

    Raises ConfigurationError: if the configuration file cannot be read.
    """
    settings = Settings.layered()
    storages: Collection[str] | None = None
    if file is not None or not more:
        in_file = from_toml(file) if file else []
        settings = Settings.layered(in_file, from_environment(os.environ, {"backend"}))
        storages = _storage_names(settings)
    values = read(ServerOptions, settings, apart=KINDS).values
    auth = values.get("auth") or AuthOptions()
    roles = {} if storages is None else mount_roles_of(values)
    return load_users(settings, sources, auth, reserved_name(settings), storages, roles, more)


def _storage_names(settings: Settings) -> Collection[str]:
    """The names that a mount's `storage` may have; empty is the storage without a name."""
    return {"", *(setting.path[1] for setting in settings.below("storages") if len(setting.path) > 1)}


def reserved_name(settings: Settings) -> str | None:
    """The name in the root of the storage that no user's prefix may lead into; None if there is none."""
    backend = settings.by_path.get(("backend",))
    return RESERVED.decode() if backend is None or backend.value == "s3" else None


def _between_groups(values: Mapping[str, Any], settings: Settings) -> list[str]:
    """The problems of options that are valid only by themselves. `values` lacks groups that have problems of
    their own."""
    problems: list[str] = []
    if "backend" in values or not settings.below("backend"):
        problems += _backend_problems(values.get("backend", "s3"), settings)
    return [*problems, *storage_problems(values), *_worker_problems(values)]


def _host_key_problems(ssh: SshOptions) -> list[str]:
    return [
        f"ssh.host_keys: {problem}" for file in ssh.host_keys for problem in _problems_of(partial(load, file))
    ]


def _revocation_problems(auth: AuthOptions) -> list[str]:
    try:
        RevocationFile(auth.revoked_keys, tells=False).read()
    except BadRevocations as error:
        return [str(error)]
    return []


def _hook_problems(values: Mapping[str, Any], *, reads_files: bool) -> list[str]:
    hook: HookOptions = values["hook"]
    return _problems_of(lambda: read_credentials(hook)) if reads_files else []


def _timeout_problems(values: Mapping[str, Any]) -> list[str]:
    """Whatever a login asks has to give up before the login does, so that the log says what was slow."""
    auth = values.get("auth")
    return [
        f"{name}.timeout = {source.timeout.total_seconds():g} s: should be less than auth.answer_timeout,"
        f" {auth.answer_timeout.total_seconds():g} s"
        for name in (*_OTHER_SOURCES, "shared_state")
        if auth is not None
        and (source := values.get(name)) is not None
        and source.timeout >= auth.answer_timeout
    ]


def _backend_problems(name: str, settings: Settings) -> list[str]:
    """The problems with the name of the backend and with its options."""
    if (problem := backend_name_problem(name)) is not None:
        origin = settings.origin(("backend",))
        return [f"backend = {name!r}" + (f" ({origin})" if origin else "") + f": {problem}"]
    built_in = BUILT_IN.get(name)
    problems = []
    if built_in is not None and built_in.needs is not None and not settings.below(built_in.needs):
        problems.append(built_in.missing)
    if built_in is not None and settings.below("backend_options"):
        own = f"those of `{name}` stand in [{built_in.needs}]" if built_in.needs else f"`{name}` has none"
        problems.append(f"backend_options are for storages of other packages; {own}")
    return problems


def _worker_problems(values: Mapping[str, Any]) -> list[str]:
    """The problems with a configured number of workers; the default never has any."""
    workers = values["server"].workers if "server" in values else None
    if workers is None or workers == 1:
        return []
    built_in = BUILT_IN.get(values.get("backend", "s3"))
    if built_in is not None and built_in.in_one_process:
        return [f"server.workers = {workers}: the memory backend has its files in one process, so it has 1"]
    least = MIN_BUFFER_BYTES * workers
    if "files" in values and values["files"].buffer_bytes < least:
        return [
            f"server.workers = {workers}: files.buffer_bytes should be at least {least >> 20} MiB"
            f" ({MIN_BUFFER_BYTES >> 20} MiB for each)"
        ]
    return []


def _problems_of(check: Callable[[], object]) -> list[str]:
    try:
        check()
    except ConfigurationError as error:
        return list(error.problems)
    return []


def _unique(problems: list[str]) -> list[str]:
    return list(dict.fromkeys(problems))
