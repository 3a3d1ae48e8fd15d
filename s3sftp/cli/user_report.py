"""What a user is, and where each option of it comes from, in a form that may be shown: without secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from s3sftp.app.user_loading import LoadedUsers
from s3sftp.auth import Layers, UserOptions
from s3sftp.config import is_secret

_SHOWN_AS_KEYS = frozenset({"authorized_keys"})
"""Somebody may have put a private key there. Keys that can be used are shown as fingerprints."""


@dataclass(frozen=True, slots=True)
class OptionReport:
    """An option of a user; of a table, each option in it."""

    name: str
    """With dots: `attributes.tier`."""
    value: object
    """For JSON."""
    source: str
    """`default`, `group NAME`, or `user`."""
    where: str | None
    """The file and the line, the variable, or the flag; None for a default."""

    @property
    def text(self) -> str:
        return json.dumps(self.value, ensure_ascii=False)

    @property
    def origin(self) -> str:
        return f"{self.source}, {self.where}" if self.where else self.source


@dataclass(frozen=True, slots=True)
class UserReport:
    """One user after groups."""

    name: str
    where: str | None
    groups: Sequence[str]
    """All groups, those of groups too; later ones override earlier ones."""
    prefix: str | None
    """None: nothing is stored in the root, which lists the mounts."""
    rights: str
    """The user's rights in the tree, in one line."""
    read_only: bool
    password: bool
    keys: Sequence[str]
    """Fingerprints."""
    options: Sequence[OptionReport]


def report_of(loaded: LoadedUsers, name: str) -> UserReport:
    """The report of a user that there is."""
    account, options = loaded.logins.accounts[name], loaded.tables.users[name]
    layers = loaded.tables.layers_of(name)
    assert layers is not None  # noqa: S101 (each account comes from a definition)
    values = {**options.model_dump(mode="json"), "prefix": account.identity.prefix}
    return UserReport(
        name=name,
        where=layers.where(),
        groups=[group.name for group in layers.definitions[:-1]],
        prefix=account.identity.prefix,
        rights=_rights_of(options),
        read_only=account.identity.read_only,
        password=account.password_hash is not None,
        keys=[f"{key.algorithm} {key.fingerprint}" for key in account.keys],
        options=list(_options(values, layers)),
    )


def _rights_of(user: UserOptions) -> str:
    words = ("read-only",) if user.read_only else user.rights
    text = "all" if words is None else ", ".join(words) or "none"
    differs = any(each.rights is not None for each in (*user.mounts.values(), *user.paths.values()))
    return f"{text}, differs by path" if differs else text


def _options(
    values: Mapping[str, Any], layers: Layers, above: tuple[str, ...] = ()
) -> Iterator[OptionReport]:
    for name, value in values.items():
        path = (*above, name)
        if isinstance(value, dict) and value:
            yield from _options(value, layers, path)
            continue
        definition = layers.source(*path)
        if definition is None:
            source, where = "default", None
        else:
            source = "user" if definition is layers.own else f"group {definition.name}"
            where = definition.here(*path)
        yield OptionReport(".".join(path), _public(path, value), source, where)


def _public(path: tuple[str, ...], value: object) -> object:
    if value is not None and any(map(is_secret, path)):
        return "(hidden)"
    if path[0] in _SHOWN_AS_KEYS and isinstance(value, list):
        return f"{len(value)} line{'' if len(value) == 1 else 's'}"
    return value
