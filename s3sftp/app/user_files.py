"""Reads users from `auth.users_file` and from each file in `auth.users_dir`."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s3sftp.auth import UserOptions
from s3sftp.config import Settings, SourceFiles, read_table, tree_of
from s3sftp.errors import ConfigurationError


@dataclass(slots=True)
class UserFiles:
    """The valid users, and the problems of the others and of their files."""

    users: dict[str, UserOptions] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    has_directory: bool = False
    """A directory is configured: its users come and go, and there may be none at the moment."""


def read_user_files(settings: Settings, sources: SourceFiles) -> UserFiles:
    """Read the user files that the settings name. Each user may be defined only once."""
    found = UserFiles()
    places = {
        path[1]: setting.origin
        for path, setting in settings.by_path.items()
        if path[0] == "users" and len(path) > 1
    }
    file = settings.by_path.get(("auth", "users_file"))
    if file is not None and isinstance(file.value, str):
        sources.note(Path(file.value))
        _read_file(Path(file.value), f"auth.users_file ({file.origin})", places, found)
    directory = settings.by_path.get(("auth", "users_dir"))
    if directory is not None and isinstance(directory.value, str):
        found.has_directory = True
        option = f"auth.users_dir ({directory.origin})"
        for each in _files_of(Path(directory.value), option, sources, found):
            _read_file(each, option, places, found)
    return found


def _files_of(directory: Path, option: str, sources: SourceFiles, found: UserFiles) -> list[Path]:
    if directory == Path():
        found.problems.append(f"{option}: should be the path of a directory of its own")
        return []
    try:
        return sources.toml_files(directory)
    except OSError as error:
        found.problems.append(f"{option}: cannot read {directory}: {error.strerror or error}")
    except ValueError as error:  # no file system can have such a name
        found.problems.append(f"{option}: cannot read {str(directory)!r}: {error}")
    return []


def _read_file(file: Path, option: str, places: dict[str, str], found: UserFiles) -> None:
    """Add the users of a file. `places` maps each known user to where they are defined."""
    try:
        tree = _tree_of(file)
    except ConfigurationError as error:
        found.problems += [f"{option}: {problem}" for problem in error.problems]
        return
    for name, value in tree.items():
        if name == "users" and isinstance(value, dict):
            _add_users(value, str(file), places, found)
        else:
            found.problems.append(
                f"{_first_option(name, value)} ({file}): only [users.NAME] tables belong here"
            )


def _tree_of(file: Path) -> dict[str, Any]:
    try:
        kind = file.stat().st_mode
    except (OSError, ValueError):
        return tree_of(file)  # reports why it cannot be read
    if not stat.S_ISREG(kind):
        raise ConfigurationError([f"{file} is not a file"])
    return tree_of(file)


def _add_users(tables: dict[str, Any], file: str, places: dict[str, str], found: UserFiles) -> None:
    for name, table in tables.items():
        if name in places:
            found.problems.append(
                f"users.{name} ({file}): this user is configured elsewhere too, in {places[name]}"
            )
            continue
        places[name] = file
        user = read_table(UserOptions, ("users", name), table, file, found.problems)
        if user is not None:
            found.users[name] = user


def _first_option(name: str, value: object) -> str:
    while isinstance(value, dict) and value:
        inner, value = next(iter(value.items()))
        name = f"{name}.{inner}"
    return name
