"""Options of the command are fields of frozen values: what each means stands once, as its help."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import MISSING, field, fields
from typing import Any

from bench.sizes import amount


def option(says: str, default: Any = MISSING) -> Any:
    """A field that is an option; required without a default. What ends in `_bytes` may be `2MiB`."""
    return field(default=default, metadata={"help": says})


def add_options(parser: argparse.ArgumentParser, kind: Any, title: str) -> None:
    """The fields of a dataclass as options of the command."""
    group = parser.add_argument_group(title)
    for each in fields(kind):
        flag, says = f"--{each.name.replace('_', '-')}", each.metadata["help"]
        required = each.default is MISSING
        shown = says if required else f"{says} (default: {each.default})"
        if isinstance(each.default, bool):
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=each.default, help=says)
        else:
            parse = _bytes if each.name.endswith("_bytes") else int if each.type == "int" else float
            default = None if required else each.default
            group.add_argument(
                flag, type=parse, required=required, default=default, help=shown.replace("%", "%%")
            )


def made(kind: Any, words: dict[str, Any]) -> Any:
    """The value that was asked for. ValueError, by name, for what cannot be."""
    return kind(**{each.name: words[each.name] for each in fields(kind)})


def refuse_negative(value: Any, shares: Iterable[str]) -> None:
    """Raise ValueError with the name of a field that is negative, or of a share above 1."""
    for each in fields(value):
        if getattr(value, each.name) < 0:
            raise ValueError(f"{each.name} is negative")
    for name in shares:
        if getattr(value, name) > 1:
            raise ValueError(f"{name} is a share: at most 1")


def _bytes(text: str) -> int:
    try:
        return amount(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
