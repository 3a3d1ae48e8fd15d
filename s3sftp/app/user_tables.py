"""Validates users and groups: each group by itself, and each user with what the groups add.

A mistake in a group is told once, where it was written, and not again for each of its users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from s3sftp.app.user_files import Definitions
from s3sftp.auth import (
    Definition,
    GroupOptions,
    Groups,
    Layers,
    UnusedGroup,
    UserOptions,
    user_name_problem,
    without_nulls,
)
from s3sftp.config import read_table


@dataclass(slots=True)
class UserTables:
    """The valid users and groups, and the problems of the others."""

    users: dict[str, UserOptions] = field(default_factory=dict)
    groups: dict[str, GroupOptions] = field(default_factory=dict)
    found: Definitions = field(default_factory=Definitions)
    """All tables as they were written."""
    unused_groups: Sequence[UnusedGroup] = ()
    problems: list[str] = field(default_factory=list)

    def where(self, user: str, *path: str) -> str | None:
        """Where a user, or an option at a path below the user's table, was written."""
        layers = self.layers_of(user)
        return layers.where(*path) if layers else None

    def layers_of(self, user: str) -> Layers | None:
        """What a user was made of; None if there is no such user."""
        definition = self.found.users.get(user)
        return self.group_chains().layers_of(definition) if definition else None

    def group_chains(self) -> Groups:
        """What the groups are made of, those without the ones that have problems."""
        return Groups(self.found.groups, frozenset(self.found.groups.keys() - self.groups.keys()))


def read_users(found: Definitions) -> UserTables:
    """Validate everything that was found. `problems` has all problems, those of the finding too."""
    tables = UserTables(found=found, problems=list(found.problems))
    for group in found.groups.values():
        _read_group(group, tables)
    groups = tables.group_chains()
    for user in found.users.values():
        _read_user(groups.layers_of(user), tables)
    aside = UserTables()
    for again in found.again:  # what else is wrong with it is told at once
        if again.kind == "users":
            _read_user(groups.layers_of(again), aside)
        else:
            _read_group(again, aside)
    tables.problems += aside.problems
    groups.examine()
    tables.problems += dict.fromkeys(groups.problems)
    tables.unused_groups = tuple(
        UnusedGroup(name, group.here()) for name, group in found.groups.items() if name not in groups.used
    )
    return tables


def _read_group(group: Definition, tables: UserTables) -> None:
    if not _has_valid_name(group, tables.problems):
        return
    path = (group.kind, group.name)
    for name in sorted(_OF_USERS_ALONE & group.options.keys()):
        tables.problems.append(
            f"groups.{group.name}.{name} ({group.here(name)}): belongs to one user: put it in [users.NAME]"
        )
    table: object = group.table
    if isinstance(table, Mapping):
        table = {name: value for name, value in without_nulls(table).items() if name not in _OF_USERS_ALONE}
    has_values = _has_values(group, tables.problems)
    options = read_table(GroupOptions, path, table, group.source.origin, tables.problems)
    if options is not None and has_values:
        tables.groups[group.name] = options


_OF_USERS_ALONE = UserOptions.model_fields.keys() - GroupOptions.model_fields.keys()
"""Credentials."""


def _read_user(layers: Layers, tables: UserTables) -> None:
    own = layers.own
    if not _has_valid_name(own, tables.problems):
        return
    table = layers.merged() if isinstance(own.table, Mapping) else own.table
    has_values = _has_values(own, tables.problems)
    options = read_table(UserOptions, ("users", own.name), table, partial(_where, layers), tables.problems)
    if options is not None and has_values:
        tables.users[own.name] = options


def _where(layers: Layers, path: tuple[str, ...]) -> str | None:
    return layers.where(*path[2:])


def _has_values(definition: Definition, problems: list[str]) -> bool:
    """Whether every option has a value. One without would switch off what a group says, or a factor."""
    nulls = definition.nulls
    for path in nulls:
        name, where = ".".join((definition.kind, definition.name, *path)), definition.here(*path)
        place = f" ({where})" if where else ""
        problems.append(f"{name}{place}: has no value; remove the line or give one")
    return not nulls


def _has_valid_name(definition: Definition, problems: list[str]) -> bool:
    wrong = user_name_problem(definition.name)
    if wrong is not None:
        problems.append(f"{definition.kind}.{definition.name[:40]!r} ({definition.here()}): the name {wrong}")
    return wrong is None
