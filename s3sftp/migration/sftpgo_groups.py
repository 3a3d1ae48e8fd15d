"""Gives a user of SFTPGo what its groups say, as SFTPGo does before each login. Pure.

Sources: `applyGroupSettings`, `mergeWithPrimaryGroup`, `mergeAdditiveProperties` in SFTPGo's dataprovider:

- the primary group replaces the storage and the permissions of `/`, and completes what the user leaves at 0;
- then it and the secondary groups add folders, permissions and patterns of other paths, and to lists;
- a group of the type membership changes nothing.

`%username%` and `%role%` are replaced in what comes from a group.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from s3sftp.migration.findings import UserFindings
from s3sftp.migration.sftpgo_dump import Filesystem, Folder, Group, NumericLimits, PatternsFilter, User

_PRIMARY, _SECONDARY = 1, 2
_DAY_MS = 86_400_000
_ADDED = (
    "allowed_ip",
    "denied_ip",
    "denied_login_methods",
    "denied_protocols",
    "two_factor_protocols",
    "access_time",
    "bandwidth_limits",
)
"""Lists of `filters` that every group adds to."""
_COMPLETED = ("max_upload_file_size", "is_anonymous", "password_expiration")
"""What the primary group says if the user does not."""
_TRANSFERS = ("upload_data_transfer", "download_data_transfer", "total_data_transfer")


def with_groups(user: User, groups: Mapping[str, Group], findings: UserFindings) -> User:
    """The user with the settings of its groups."""
    for mapping in sorted(user.groups, key=lambda each: each.type):
        if mapping.name not in groups:
            findings.disable("groups", f"the group {mapping.name!r} is not in the file")
        elif mapping.type == _PRIMARY:
            user = _with_additions(_with_primary(user, groups[mapping.name]), groups[mapping.name], True)
        elif mapping.type == _SECONDARY:
            user = _with_additions(user, groups[mapping.name], False)
    secondary = [each.name for each in user.groups if each.type == _SECONDARY]
    _refuse_conflicts([groups[name] for name in secondary if name in groups], findings)
    if sum(mapping.type == _PRIMARY for mapping in user.groups) > 1:
        findings.refuse("groups", "more than one group is primary")
    return user


def primary_groups(users: Iterable[User], groups: Collection[str]) -> dict[str, str]:
    """The name of the primary group of each user who has one that exists."""
    return {
        user.username: mapping.name
        for user in users
        for mapping in user.groups
        if mapping.type == _PRIMARY and mapping.name in groups
    }


def _refuse_conflicts(groups: Sequence[Group], findings: UserFindings) -> None:
    """Of two secondary groups that have the same path, the order in SFTPGo's database decides."""
    seen: dict[tuple[str, str], str] = {}
    for group in groups:
        settings = group.user_settings
        paths = [("permissions", path) for path in settings.permissions]
        paths += [("filters.file_patterns", each.path) for each in settings.filters.file_patterns]
        paths += [("virtual_folders", each.virtual_path) for each in group.virtual_folders]
        for what, path in paths:
            if path != "/" and seen.setdefault((what, path), group.name) != group.name:
                findings.disable(
                    "groups", f"{seen[what, path]!r} and {group.name!r} both have {what} for {path!r}"
                )


def _with_primary(user: User, group: Group) -> User:
    settings = group.user_settings
    changes: dict[str, Any] = {
        name: getattr(settings, name)
        for name in NumericLimits.model_fields
        if name not in _TRANSFERS and not getattr(user, name)
    }
    if not any(getattr(user, name) for name in _TRANSFERS):
        changes |= {name: getattr(settings, name) for name in _TRANSFERS}
    if settings.filesystem.provider:
        changes["filesystem"] = _replaced(settings.filesystem, user)
    if not user.expiration_date and settings.expires_in > 0:
        changes["expiration_date"] = user.created_at + settings.expires_in * _DAY_MS
    filters = {
        name: getattr(settings.filters, name) for name in _COMPLETED if not getattr(user.filters, name)
    }
    changes["filters"] = user.filters.model_copy(update=filters)
    return user.model_copy(update=changes)


def _with_additions(user: User, group: Group, primary: bool) -> User:
    settings = group.user_settings
    permissions = dict(user.permissions)
    for path, words in settings.permissions.items():
        if path == "/" and primary:
            permissions[path] = words
        elif path != "/":
            permissions.setdefault(_text(path, user), words)
    filters = {name: (*getattr(user.filters, name), *getattr(settings.filters, name)) for name in _ADDED}
    return user.model_copy(
        update={
            "permissions": permissions,
            "virtual_folders": (*user.virtual_folders, *_added_folders(user, group, primary)),
            "filters": user.filters.model_copy(
                update={**filters, "file_patterns": _patterns(user, settings.filters.file_patterns, primary)}
            ),
        }
    )


def _added_folders(user: User, group: Group, primary: bool) -> list[Folder]:
    taken = {folder.virtual_path for folder in user.virtual_folders}
    found = []
    for folder in group.virtual_folders:
        path = _text(folder.virtual_path, user)
        if path in taken or (folder.virtual_path == "/" and not primary):
            continue
        changes = {
            "virtual_path": path,
            "subpath": _text(folder.subpath, user),
            "filesystem": _replaced(folder.filesystem, user),
        }
        found.append(folder.model_copy(update=changes))
    return found


def _patterns(user: User, added: tuple[PatternsFilter, ...], primary: bool) -> tuple[PatternsFilter, ...]:
    found = list(user.filters.file_patterns)
    taken = {each.path for each in found}
    for each in added:
        path = _text(each.path, user)
        if path not in taken and (each.path != "/" or primary):
            found.append(each.model_copy(update={"path": path}))
    return tuple(found)


def _replaced(filesystem: Filesystem, user: User) -> Filesystem:
    prefix = _text(filesystem.s3config.key_prefix, user)
    return filesystem.model_copy(
        update={"s3config": filesystem.s3config.model_copy(update={"key_prefix": prefix})}
    )


def _text(text: str, user: User) -> str:
    """The text with the user's name and role. Neither may bring path separators: names here have none."""
    return text.replace("%username%", user.username).replace("%role%", user.role)
