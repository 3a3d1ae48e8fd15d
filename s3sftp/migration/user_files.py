"""Writes imported users as files of users, in TOML or YAML, with the reasons as comments.

Texts are written in double quotes with escapes that TOML and YAML share, so that nothing in them can become
anything but a text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from s3sftp.errors import ConfigurationError
from s3sftp.migration.findings import Imported, ImportedGroup, ImportedUser

Format = Literal["toml", "yaml"]
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def document(users: Sequence[ImportedUser], form: Format, groups: Sequence[ImportedGroup] = ()) -> str:
    """One file with these users and groups; users that are not written are left out."""
    written = [user for user in users if user.table is not None]
    lines = _yaml(written, groups) if form == "yaml" else _toml(written, groups)
    return "\n".join(lines) + "\n"


def documents(imported: Imported, form: Format) -> dict[str, str]:
    """A file for each user, and one for the groups, by name."""
    files = {
        f"{user.name}.{form}": document([user], form) for user in imported.users if user.table is not None
    }
    if imported.groups:
        name = "groups"
        while f"{name}.{form}" in files:
            name += "_"
        files[f"{name}.{form}"] = document([], form, imported.groups)
    return files


def write_files(files: Iterable[tuple[Path, str]]) -> None:
    """Create files that only their owner can read, because there may be hashes in them: all or none.

    Raises ConfigurationError: if one of them exists, or cannot be written; nothing is overwritten.
    """
    made: list[Path] = []
    try:
        for file, text in files:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            made.append(file)
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
    except OSError as error:
        for file in made:
            file.unlink(missing_ok=True)
        reason = "it exists, and is not overwritten" if isinstance(error, FileExistsError) else error.strerror
        raise ConfigurationError(f"cannot write {error.filename}: {reason}; no file was written") from error


def _toml(users: Sequence[ImportedUser], groups: Sequence[ImportedGroup]) -> Iterator[str]:
    for index, group in enumerate(groups):
        yield from [""] if index else []
        yield from _toml_table(("groups", group.name), group.table)
    for index, user in enumerate(users, len(groups)):
        yield from [""] if index else []
        yield from _comments(user, "")
        yield from _toml_table(("users", user.name), user.table or {})


def _toml_table(path: tuple[str, ...], table: dict[str, Any]) -> Iterator[str]:
    inner = {name: value for name, value in table.items() if isinstance(value, dict)}
    of_user = len(path) == 2
    if of_user or not table or len(inner) < len(table):  # `paths` and `mounts` have tables alone
        yield from [] if of_user else [""]
        yield f"[{'.'.join(_key(name) for name in path)}]"
    for name, value in table.items():
        if name not in inner:
            yield f"{_key(name)} = {_value(value)}"
    for name, value in inner.items():
        yield from _toml_table((*path, name), value)


def _yaml(users: Sequence[ImportedUser], groups: Sequence[ImportedGroup]) -> Iterator[str]:
    if groups:
        yield "groups:"
    for group in groups:
        yield f"  {_key(group.name)}:"
        yield from _yaml_table(group.table, "    ")
    if users or not groups:
        yield "users:" if users else "users: {}"
    for user in users:
        yield from _comments(user, "  ")
        yield f"  {_key(user.name)}:"
        yield from _yaml_table(user.table or {}, "    ")


def _yaml_table(table: dict[str, Any], indent: str) -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield f"{indent}{_key(name)}:"
            yield from _yaml_table(value, indent + "  ")
        else:
            yield f"{indent}{_key(name)}: {_value(value)}"


def _comments(user: ImportedUser, indent: str) -> Iterator[str]:
    for reason in user.reasons:
        yield f"{indent}# disabled: {reason}"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return _text(str(value))


def _text(text: str) -> str:
    """In double quotes. What is not printable is escaped, so that editors and both parsers read the same."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(each if each.isprintable() else f"\\U{ord(each):08X}" for each in quoted) + '"'
