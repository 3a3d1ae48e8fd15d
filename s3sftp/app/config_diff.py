"""Compares two configurations: which users and options differ, and what of a user, without secrets. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from s3sftp.app.options import Configuration, ServerOptions
from s3sftp.auth import (
    AccountChanges,
    Accounts,
    Logins,
    UnusedGroup,
    compare_accounts,
    describe_account,
)

_AT_ONCE = frozenset(
    {
        "auth.users_file",
        "auth.users_dir",
        "auth.trusted_user_ca_keys",
        "auth.trusted_user_ca_keys_file",
        "server.reload_interval",
    }
)
"""Options that a running server applies; the users are compared separately."""
MAX_CHANGES = 100


@dataclass(frozen=True, slots=True)
class ConfigDiff:
    """Names of users and options, and what is different about changed users."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    """Users whose credentials, prefix or rights have changed."""
    changes: Mapping[str, AccountChanges]
    """What is different about the changed users: of the first `MAX_CHANGES`, unless all are asked for."""
    additions: Mapping[str, AccountChanges]
    """What the added users are, if all is asked for."""
    keys_to_report: frozenset[str]
    """Users whose set of unusable keys has changed."""
    unused_groups: tuple[UnusedGroup, ...]
    """Groups that had users, or did not exist, and now have none."""
    need_restart: tuple[str, ...]
    """Options that differ from those that the running server was started with."""

    @property
    def any_user(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def diff_configurations(
    started: ServerOptions, before: Logins, after: Configuration, *, all_changes: bool = False
) -> ConfigDiff:
    """Compare what was read with the options at start and with the current users. `all_changes`: say of each
    user what is different, however many there are."""
    old, new = before.accounts, after.logins.accounts
    added = tuple(sorted(name for name in new if name not in old))
    changed = tuple(sorted(_changed(old, new)))
    told = changed if all_changes else changed[:MAX_CHANGES]
    return ConfigDiff(
        added=added,
        removed=tuple(sorted(name for name in old if name not in new)),
        changed=changed,
        changes={name: compare_accounts(old[name], new[name]) for name in told},
        additions={name: describe_account(new[name]) for name in added} if all_changes else {},
        keys_to_report=frozenset(each.user for each in set(after.logins.bad_keys) - set(before.bad_keys)),
        unused_groups=_newly_unused(before, after.logins),
        need_restart=tuple(_options_that_differ(started, after.options)),
    )


def _changed(old: Accounts, new: Accounts) -> Iterator[str]:
    return (name for name, account in new.items() if name in old and old[name] != account)


def _newly_unused(before: Logins, after: Logins) -> tuple[UnusedGroup, ...]:
    known = {group.name for group in before.unused_groups}
    return tuple(group for group in after.unused_groups if group.name not in known)


def _options_that_differ(old: ServerOptions, new: ServerOptions) -> Iterator[str]:
    for group in ServerOptions.model_fields:
        before, after = getattr(old, group), getattr(new, group)
        if group in ("users", "groups") or before == after:
            continue
        if group == "storages":
            names = sorted(before.keys() | after.keys())
            yield from (f"storages.{name}" for name in names if before.get(name) != after.get(name))
            continue
        if not (isinstance(before, BaseModel) and isinstance(after, BaseModel)):
            yield group
            continue
        for option in type(after).model_fields:
            name = f"{group}.{option}"
            if getattr(before, option) != getattr(after, option) and name not in _AT_ONCE:
                yield name
