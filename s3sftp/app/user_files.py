"""Finds the tables of users and groups: in the configuration, in `auth.users_file`, and in each file of
`auth.users_dir`. Tables are not validated here; `user_tables.py` does that."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s3sftp.auth import Definition
from s3sftp.config import Document, Setting, Settings, SourceFiles, read_document
from s3sftp.errors import ConfigurationError

KINDS = ("users", "groups")


@dataclass(slots=True)
class Definitions:
    """All users and groups by name, each once, and the problems of what is not one."""

    users: dict[str, Definition] = field(default_factory=dict)
    groups: dict[str, Definition] = field(default_factory=dict)
    again: list[Definition] = field(default_factory=list)
    """Definitions of names that are defined already."""
    problems: list[str] = field(default_factory=list)
    has_directory: bool = False
    """A directory is configured: its users come and go, and there may be none at the moment."""

    def add(self, definition: Definition) -> None:
        """Add a user or a group. A second one of the same name is a problem."""
        known = self.users if definition.kind == "users" else self.groups
        first = known.setdefault(definition.name, definition)
        if first is not definition:
            what = "user" if definition.kind == "users" else "group"
            self.again.append(definition)
            self.problems.append(
                f"{definition.kind}.{definition.name} ({definition.here()}): this {what} is configured"
                f" elsewhere too, in {first.here()}"
            )

    def add_file(self, file: Path, option: str = "") -> None:
        """Add what a file has. `option` is where the file is named, if it is."""
        try:
            tree, document = _read(file)
        except ConfigurationError as error:
            self.problems += [f"{option}: {problem}" if option else problem for problem in error.problems]
            return
        for name, value in tree.items():
            if name in KINDS and isinstance(value, dict):
                for each, table in value.items():
                    self.add(Definition(name, each, table, document))
            else:
                self.problems.append(_stray(name, value, document))


def find_definitions(settings: Settings, tables: Mapping[str, object], sources: SourceFiles) -> Definitions:
    """All users and groups: those in the `tables` of the settings, and those of the files that these name."""
    found = Definitions()
    for kind in KINDS:
        below = tables[kind]
        if not isinstance(below, Mapping):
            where = settings.origin((kind,))
            found.problems.append(f"{kind} = {below!r:.100} ({where}): should be a table of options")
            continue
        for name, table in below.items():
            found.add(Definition(kind, name, table, settings))
    file = _path(settings, "users_file")
    if file is not None:
        sources.note(Path(str(file.value)))
        found.add_file(Path(str(file.value)), f"auth.users_file ({file.where()})")
    directory = _path(settings, "users_dir")
    if directory is not None:
        found.has_directory = True
        option = f"auth.users_dir ({directory.where()})"
        for each in files_of(Path(str(directory.value)), option, sources, found.problems):
            found.add_file(each, option)
    return found


def files_of(directory: Path, option: str, sources: SourceFiles, problems: list[str]) -> list[Path]:
    """The files of a directory that may have users. If it cannot be read, there are none, but a problem."""
    if directory == Path():
        problems.append(f"{option}: should be the path of a directory of its own")
        return []
    try:
        return sources.option_files(directory)
    except OSError as error:
        problems.append(f"{option}: cannot read {directory}: {error.strerror or error}")
    except ValueError as error:  # no file system can have such a name
        problems.append(f"{option}: cannot read {str(directory)!r}: {error}")
    return []


def _path(settings: Settings, option: str) -> Setting | None:
    setting = settings.by_path.get(("auth", option))
    return setting if setting is not None and isinstance(setting.value, str) else None


def _read(file: Path) -> tuple[dict[str, Any], Document]:
    try:
        kind = file.stat().st_mode
    except (OSError, ValueError):
        return read_document(file)  # reports why it cannot be read
    if not stat.S_ISREG(kind):
        raise ConfigurationError([f"{file} is not a file"])
    return read_document(file)


def _stray(name: str, value: object, document: Document) -> str:
    path = [name]
    while isinstance(value, dict) and value:
        inner, value = next(iter(value.items()))
        path.append(inner)
    where = document.origin(tuple(path))
    return f"{'.'.join(path)} ({where}): only [users.NAME] and [groups.NAME] tables belong here"
