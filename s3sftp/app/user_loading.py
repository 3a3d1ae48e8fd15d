"""Loads all users: finds their tables, validates them with their groups, and reads their keys."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from s3sftp.app.user_files import Definitions, files_of, find_definitions
from s3sftp.app.user_tables import UserTables, read_users
from s3sftp.auth import (
    AuthOptions,
    GroupOptions,
    Logins,
    UserOptions,
    identity_of,
    read_authorities,
    read_logins,
)
from s3sftp.auth.access_options import AccessOptions
from s3sftp.auth.mount_roles import MountRoles, refused_roles
from s3sftp.config import Settings, SourceFiles, suggestion, tables_below
from s3sftp.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class LoadedUsers:
    """The users that are right, and the problems of all others: if there are any, none of them counts."""

    tables: UserTables
    logins: Logins
    problems: Sequence[str]

    @property
    def are_configured(self) -> bool:
        """Whether there is a user, or a directory that may have some later, or a reason why there is none."""
        found = self.tables.found
        return bool(found.users or found.problems or found.has_directory)


def load_users(
    settings: Settings,
    sources: SourceFiles,
    auth: AuthOptions,
    reserved: str | None,
    storages: Collection[str] | None,
    roles: MountRoles,
    files: Sequence[Path] = (),
) -> LoadedUsers:
    """Load the users of the settings, of the files that these name, and of further `files` and directories.

    A further file that the settings name too is read once. `auth` names the trusted CAs. `reserved` is the
    name in the root of each storage that the server keeps for itself. `storages` are the names that mounts
    may have; None: any. `roles` are those that mounts may have in the storages that are known.
    """
    inside = {
        "users": tables_below(settings, "users", UserOptions),
        "groups": tables_below(settings, "groups", GroupOptions),
    }
    found = find_definitions(settings, inside, sources)
    _add_files(files, found, sources)
    tables = read_users(found)
    problems = list(tables.problems)
    for name, user in tables.users.items():
        problems += _problems_of(name, user, tables, auth, reserved)
        if storages is not None:
            problems += _storage_problems(name, user, tables, storages)
        problems += _role_problems(name, user, tables, roles)
    try:
        logins = read_logins(tables.users, sources, read_authorities(auth, sources), tables.where)
    except ConfigurationError as error:
        return LoadedUsers(tables, Logins({}), [*problems, *error.problems])
    return LoadedUsers(tables, replace(logins, unused_groups=tables.unused_groups), problems)


def _add_files(files: Sequence[Path], found: Definitions, sources: SourceFiles) -> None:
    if not files:
        return
    read = {Path(file).resolve() for file in sources.recorded()}
    for file in files:
        within = files_of(file, str(file), sources, found.problems) if file.is_dir() else [file]
        for each in within:
            if each.resolve() not in read:
                read.add(each.resolve())
                sources.note(each)
                found.add_file(each)


def _problems_of(
    name: str, user: UserOptions, tables: UserTables, auth: AuthOptions, reserved: str | None
) -> list[str]:
    """The problems of a user whose options are valid one by one."""
    problems = []
    has_keys = any(line.strip() for line in user.authorized_keys)
    has_authority = auth.trusts_authorities and user.principals != ()
    has_any = user.password_hash or has_keys or user.authorized_keys_file or has_authority
    if not (
        has_any or user.disabled
    ):  # a disabled user may only bar the name, so that no hook is asked for it
        problems.append(
            f"users.{name} cannot log in ({tables.where(name)}): give it authorized_keys,"
            " authorized_keys_file or password_hash"
        )
    if user.read_only and any(each.rights is not None for each in _rules_in(user)):
        problems.append(
            f"users.{name} ({tables.where(name, 'rights')}): read_only and rights exclude each other;"
            ' rights = "read-only" says both'
        )
    problems += _reserved_problems(name, user, tables, reserved)
    problems += [
        f"users.{name} ({_where(problem, name, tables)}): {problem}"
        for problem in identity_of(name, user).problems()
    ]
    return problems


def _where(problem: str, name: str, tables: UserTables) -> str | None:
    """Where the option was written that a problem of the user's tree begins with."""
    option = {"directory": "directories", "mount": "mounts", "mounts": "mounts", "path": "paths"}
    return tables.where(name, option.get(problem.split()[0], "prefix"))


def _rules_in(user: UserOptions) -> Iterable[AccessOptions]:
    return (user, *user.mounts.values(), *user.paths.values())


def _storage_problems(
    name: str, user: UserOptions, tables: UserTables, storages: Collection[str]
) -> Iterable[str]:
    """The problem with each mount in a storage that there is not."""
    for path, mount in user.mounts.items():
        if mount.storage not in storages:
            where = tables.where(name, "mounts", path, "storage")
            known = suggestion(mount.storage, sorted(filter(None, storages)))
            yield (
                f"users.{name}.mounts.{path!r} ({where}): storage = {mount.storage!r}: there is no"
                f" [storages.{mount.storage}]{known}"
            )


def _role_problems(name: str, user: UserOptions, tables: UserTables, roles: MountRoles) -> Iterable[str]:
    """The problem with each mount whose role its storage does not allow."""
    for path, problem in refused_roles(user.mounts_of(name), roles):
        where = tables.where(name, "mounts", path, "role_arn")
        yield f"users.{name}.mounts.{path!r} ({where}): {problem}"


def _reserved_problems(
    name: str, user: UserOptions, tables: UserTables, reserved: str | None
) -> Iterable[str]:
    """The problem with each prefix that leads to the name that the server keeps for itself."""
    prefixes = {f"mounts.{mount.path!r}": mount.prefix for mount in user.mounts_of(name)}
    for option, prefix in {"prefix": user.root_of(name) or "", **prefixes}.items():
        if reserved is not None and prefix.split("/")[0] == reserved:
            where = tables.where(name, option.split(".")[0])
            yield f"users.{name}.{option} ({where}): {reserved} is the server's own, no user's"
