"""Moves what the users of a group have in common from their tables to `[groups.NAME]`. Pure.

    [users.acme]                  [groups.partners]             [users.acme]
    prefix = "in/acme/"           prefix = "in/${user}/"        group = "partners"
    read_only = true         ──►  read_only = true
    [users.globex]                                              [users.globex]
    prefix = "in/globex/"                                       group = "partners"
    …

A user's table is changed only if the server makes the complete one of it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from s3sftp.auth.user_groups import Definition, Layers
from s3sftp.auth.user_options import GroupOptions, user_name_problem
from s3sftp.config import read_table
from s3sftp.migration.findings import FindingKind, Imported, ImportedGroup, ImportedUser, ImportFinding

_NOT_SHARED = frozenset({"disabled", "group"})
"""Options that say something about one user."""
_SHARED = GroupOptions.model_fields.keys() - _NOT_SHARED
_USER = "${user}"

Table = Mapping[str, Any]


def with_groups_of_options(imported: Imported, group_of: Mapping[str, str]) -> Imported:
    """The same users in groups. `group_of` has the name of the group of each user who is in one."""
    users = {user.name: user for user in imported.users}
    groups, told = [], []
    for name in sorted(set(group_of.values())):
        members = [user for user in imported.users if group_of.get(user.name) == name and user.table]
        try:
            group, smaller = _group(name, members)
        except _Complete as reason:
            told.append(ImportFinding(FindingKind.LEFT_OUT, f"groups.{name}", f"{reason}: {_ITS_USERS}"))
            continue
        groups.append(group)
        users |= {user.name: user for user in smaller}
    return replace(
        imported,
        users=tuple(users[user.name] for user in imported.users),
        groups=tuple(groups),
        general=(*imported.general, *told),
    )


_ITS_USERS = "its users have complete tables"


class _Complete(Exception):
    """Why the users of a group keep their complete tables."""


def _group(name: str, members: Sequence[ImportedUser]) -> tuple[ImportedGroup, list[ImportedUser]]:
    """The group, and its users without what the group has.

    Raises _Complete: if there is no use in a group, or it would not be the same.
    """
    if (problem := user_name_problem(name)) is not None:
        raise _Complete(f"the name {problem}")
    if len(members) < 2:
        raise _Complete("it has a single user")
    tables = {user.name: user.table or {} for user in members}
    common = {option: value for option, value in _common(tables).items() if option in _SHARED}
    if not common:
        raise _Complete("its users have no option in common")
    problems: list[str] = []
    read_table(GroupOptions, ("groups", name), common, lambda _path: None, problems)
    if problems:
        raise _Complete("; ".join(problems))
    smaller = []
    for user in members:
        complete = user.table or {}
        own = _rest(complete, _merged(common, {}, user.name))
        if _merged(common, own, user.name) != complete:
            raise _Complete(f"{user.name} would have other options")
        smaller.append(replace(user, table={"group": name, **own}))
    return ImportedGroup(name, common), smaller


def _common(tables: Mapping[str, Table]) -> dict[str, Any]:
    """What the tables of users have in common, by the name of the user."""
    first, *others = tables.values()
    found: dict[str, Any] = {}
    for option in first:
        if not all(option in other for other in others):
            continue
        values = {name: table[option] for name, table in tables.items()}
        one, *more = values.values()
        if all(each == one for each in more):
            found[option] = one
        elif all(isinstance(each, dict) for each in values.values()):
            if inner := _common(values):
                found[option] = inner
        else:
            one, *more = (_of_any_user(value, name) for name, value in values.items())
            if all(each == one for each in more):
                found[option] = one
    return found


def _of_any_user(value: Any, name: str) -> Any:
    if isinstance(value, str):
        return value.replace(name, _USER)
    if isinstance(value, list):
        return [_of_any_user(each, name) for each in value]
    return value


def _rest(table: Table, group: Table) -> dict[str, Any]:
    """What a table has beside that of the group."""
    rest: dict[str, Any] = {}
    for option, value in table.items():
        if option in group and value == group[option]:
            continue
        inner = group.get(option)
        both = isinstance(value, dict) and isinstance(inner, dict)
        rest[option] = _rest(value, inner) if both and inner is not None else value
    return rest


class _Nowhere:
    def origin(self, path: tuple[str, ...]) -> str | None:
        return None


def _merged(group: Table, own: Table, user: str) -> dict[str, Any]:
    """The table that the server makes of both."""
    layers = (Definition("groups", "", group, _Nowhere()), Definition("users", user, own, _Nowhere()))
    return Layers(layers).merged()
