"""Writes docs/configuration.md from the options themselves: `python docs/tools/configuration.py`."""

from __future__ import annotations

import re
import sys
import types
import typing
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from s3sftp.app.options import ServerOptions
from s3sftp.auth import AllowedSources
from s3sftp.config import Options, is_size
from s3sftp.config.option_texts import describe_options

PAGE = Path(__file__).parent.parent / "configuration.md"

HEAD = """# Configuration

Every option can be given in a TOML file (`--config FILE`), in the environment, and the common ones as flags
(`s3sftp serve --help`). Flags win over the environment, the environment over the file, the file over what is
built in. One word names an option everywhere: `part_bytes` of the group `[s3]` is `S3SFTP_S3__PART_BYTES` in
the environment.

```toml
[s3]
bucket = "acme-exchange"
part_bytes = "16 MiB"

[users.alice]
authorized_keys = ["ssh-ed25519 AAAA… alice@laptop"]
```

Sizes are numbers of bytes or texts such as `"8 MiB"`; lengths of time are numbers of seconds or texts like
`"30 s"`, `"10 min"`. What is wrong is said at start, all of it at once; the server does not start (exit 2).

[Algorithms](algorithms.md) has the lists behind `ssh.algorithms`.

This page is made from the options by `make docs`; a test compares them.
"""


def main() -> None:
    PAGE.write_text(page(), "utf-8")


def page() -> str:
    """The whole page."""
    describe_options(ServerOptions)
    parts = [HEAD]
    for name, field in ServerOptions.model_fields.items():
        group = _group_of(field.annotation)
        if group is None:
            parts.append(f"\n## `{name}`\n\n{_table([(name, field, _variable(name, field))])}")
        elif name == "storages":
            parts.append(_STORAGES)
        else:
            parts.append(_section(name, group))
    return "".join(parts)


_STORAGES = """
## `[storages.NAME]`

Further buckets, by the names that users' mounts have as `storage`: [several storages](storages.md). A name
has up to 40 lower-case letters, digits, `-` and `_`. Each has all options of `[s3]`, and none of the values
that stand there: in the environment `S3SFTP_STORAGES__NAME__BUCKET` and so on.
"""


def _variable(name: str, field: FieldInfo) -> str:
    """What names an option outside any group; of a free table each option by itself."""
    return f"S3SFTP_{name.upper()}" + ("__NAME" if _kind(field.annotation) == "table" else "")


def _section(name: str, group: type[Options]) -> str:
    is_named = name in ("users", "groups")
    title = f"{name}.NAME" if is_named else name
    about = re.sub(r"^`\[.*?\]`: ", "", (group.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " "))
    rows = [
        (option, field, f"S3SFTP_{name.upper()}__{'NAME__' if is_named else ''}{option.upper()}")
        for option, field in group.model_fields.items()
    ]
    below = [_tables(title, option, field, group) for option, field in group.model_fields.items()]
    return f"\n## `[{title}]`\n\n{about[:1].upper()}{about[1:]}\n\n{_table(rows)}" + "".join(below)


def _tables(title: str, option: str, field: FieldInfo, above: type[Options]) -> str:
    """The section of an option that holds tables by path; empty for any other option.

    Options that are those of the table above are only named.
    """
    if types_of := _groups_by_type(field.annotation):
        return _typed_tables(f"{title}.{option}.NAME", types_of)
    group = _group_of(field.annotation)
    if group is None or group is field.annotation:  # one table, whose options another section has
        return ""
    about = " ".join((group.__doc__ or "").split())
    known = {each.description for each in above.model_fields.values()}
    fields = group.model_fields.items()
    same = [f"`{name}`" for name, each in fields if each.description in known]
    rows = [(name, each, "") for name, each in fields if each.description not in known]
    also = f"It has the options {', '.join(same[:-1])} and {same[-1]} of `[{title}]`" if same else ""
    if not same:
        return f"\n### `[{title}.{option}.NAME]`\n\n{about}\n\n{_table(rows)}"
    table = f", and:\n\n{_table(rows)}" if rows else ".\n"
    return f'\n### `[{title}.{option}."/PATH"]`\n\n{about}\n\n{also}{table}'


def _typed_tables(title: str, groups: Sequence[type[Options]]) -> str:
    """The sections of tables whose `type` decides which other options they have."""
    shared = set.intersection(*(set(group.model_fields) for group in groups)) - {"type"}
    first = groups[0].model_fields
    names = ", ".join(f"`{typing.get_args(group.model_fields['type'].annotation)[0]}`" for group in groups)
    parts = [
        f"\n### `[{title}]`\n\nThe `type` of a table decides which other options it has: {names}. ",
        "All types have:\n\n",
        _table([(name, first[name], "") for name in first if name in shared]),
    ]
    for group in groups:
        (kind,) = typing.get_args(group.model_fields["type"].annotation)
        about = " ".join((group.__doc__ or "").split())
        own = [(name, each, "") for name, each in group.model_fields.items() if name not in {*shared, "type"}]
        parts.append(f'\n#### `type = "{kind}"`\n\n{about}\n\n{_table(own)}')
    return "".join(parts)


def _table(rows: list[tuple[str, FieldInfo, str]]) -> str:
    lines = ["| option | what it does | values | default | environment |", "|---|---|---|---|---|"]
    for name, field, variable in rows:
        about = " ".join((field.description or "").split()).replace("|", "\\|")
        kind = "size" if is_size(field.metadata) else _kind(field.annotation)
        cells = (f"`{name}`", about, kind, _default(field), f"`{variable}`" if variable else "only in files")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _groups_by_type(annotation: Any) -> list[type[Options]]:
    """The groups of a `dict[str, A | B]` whose tables say by `type` which of them they are; else none."""
    if typing.get_origin(annotation) is not dict:
        return []
    value = typing.get_args(annotation)[1]
    if typing.get_origin(value) is typing.Annotated:
        value = typing.get_args(value)[0]
    groups = [each for each in typing.get_args(value) if isinstance(each, type) and issubclass(each, Options)]
    return groups if len(groups) > 1 else []


def _group_of(annotation: Any) -> type[Options] | None:
    """The group of options that a field of the root holds, also as `dict[str, Group]` or `Group | None`."""
    for candidate in (annotation, *typing.get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return typing.cast("type[Options]", candidate)
    return None


_NAMES = {
    str: "text",
    int: "number",
    float: "number",
    bool: "`true` or `false`",
    timedelta: "length of time",
    Path: "path",
    SecretStr: "text (secret)",
    datetime: "date, or time with a zone",
    AllowedSources: "list of texts, or a text with commas",
}


def _kind(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return "size" if is_size(arguments[1:]) else _kind(arguments[0])
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_kind(a) for a in arguments if a is not type(None))
    if origin in (list, tuple, set, frozenset):
        return f"list of {_kind(arguments[0])}s"
    if origin is dict and (arguments[1] is Any or _group_of(arguments[1]) is not None):
        return "table"
    if _groups_by_type(annotation):
        return "tables"
    if origin in (dict,) or (origin is not None and "Mapping" in str(origin)):
        return f"table of {_kind(arguments[1])}s"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    return _NAMES.get(annotation, str(getattr(annotation, "__name__", annotation)))


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        is_empty = field.default_factory in (list, dict, tuple) or _group_of(field.annotation) is not None
        return "none" if is_empty else "as said"
    if field.default is PydanticUndefined:
        return "**required**"
    if isinstance(field.default, int) and is_size(field.metadata):
        return f"`{_size(field.default)}`"
    return _shown(field.default)


def _shown(value: Any) -> str:
    if value is None or value in ("", (), [], {}):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, timedelta):
        return f"`{_length(value)}`"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(f"`{each}`" for each in value)
    return f"`{value}`"


def _size(value: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if value and value % unit == 0:
            return f"{value // unit} {name}"
    return str(value)


def _length(value: timedelta) -> str:
    seconds = value.total_seconds()
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds and seconds % unit == 0:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s"


if __name__ == "__main__":
    sys.exit(main())
