"""Loads all users: finds their tables, validates them with their groups, and reads their keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from s3sftp.app.user_files import Definitions, files_of, find_definitions
from s3sftp.app.user_tables import UserTables, read_users
from s3sftp.auth import GroupOptions, Logins, UserOptions, read_logins
from s3sftp.config import Settings, SourceFiles, tables_below
from s3sftp.errors import ConfigurationError
from s3sftp.fs import Mounts


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
    settings: Settings, sources: SourceFiles, reserved: str | None, files: Sequence[Path] = ()
) -> LoadedUsers:
    """Load the users of the settings, of the files that these name, and of further `files` and directories.

    A further file that the settings name too is read once. `reserved` is the name in the root of the storage
    that the server keeps for itself.
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
        problems += _problems_of(name, user, tables, reserved)
    try:
        logins = read_logins(tables.users, sources, tables.where)
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


def _problems_of(name: str, user: UserOptions, tables: UserTables, reserved: str | None) -> list[str]:
    """The problems of a user whose options are valid one by one."""
    problems = []
    has_keys = any(line.strip() for line in user.authorized_keys)
    if not (user.password_hash or has_keys or user.authorized_keys_file):
        problems.append(
            f"users.{name} cannot log in ({tables.where(name)}): give it authorized_keys,"
            " authorized_keys_file or password_hash"
        )
    if reserved is not None and user.prefix_of(name).split("/")[0] == reserved:
        where = tables.where(name, "prefix")
        problems.append(f"users.{name}.prefix ({where}): {reserved} is the server's own, no user's")
    try:
        Mounts.rooted_at(user.prefix_of(name), directories=user.directories)
    except ConfigurationError as error:
        where = tables.where(name, "directories")
        problems += [f"users.{name} ({where}): {problem}" for problem in error.problems]
    return problems
