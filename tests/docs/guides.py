"""What the guides name: options, environment variables, commands, log events, metrics, targets of make."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import click
import yaml
from pydantic import BaseModel

from s3sftp.app.options import ServerOptions
from s3sftp.auth import UserOptions
from s3sftp.cli import main
from s3sftp.events.cloud_event import EventKind
from tests.docs.log_events import GRAMMAR, log_events

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GUIDES = (
    "quick-start.md",
    "operating.md",
    "console.md",
    "production-aws.md",
    "stores.md",
    "runbooks.md",
    "admin.md",
    "hardening.md",
    "logins.md",
    "limits.md",
    "resuming.md",
    "recipes.md",
    "release.md",
)
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.M | re.S)


def text_of(page: str) -> str:
    return (DOCS / page).read_text("utf-8")


def blocks(page: str, language: str) -> list[str]:
    """The blocks in a language, those in lists too, without their indentation."""
    return [
        "".join(line.removeprefix(indent) for line in body.splitlines(keepends=True))
        for indent, kind, body in _FENCE.findall(text_of(page))
        if kind == language
    ]


def spans(page: str) -> list[str]:
    """What stands in backquotes outside of blocks."""
    return re.findall(r"`([^`\n]+)`", _FENCE.sub("", text_of(page)))


def commands(page: str) -> Iterator[str]:
    """Lines to type: of blocks, and those in the text that begin with `s3sftp`."""
    for block in blocks(page, "console"):
        yield from (line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ "))
    yield from (span for span in spans(page) if span.startswith("s3sftp "))


@cache
def options() -> frozenset[str]:
    """Every option, as `group.name`."""
    return frozenset(_options_of(ServerOptions))


def _options_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        groups = [each for each in (field.annotation, *get_args(field.annotation)) if _is_group(each)]
        yield prefix + name
        if groups and UserOptions not in groups:
            yield from _options_of(groups[0], f"{prefix}{name}.")


def _is_group(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def groups() -> frozenset[str]:
    return frozenset(name.partition(".")[0] for name in options() if "." in name)


def options_in_toml(block: str) -> Iterator[str]:
    """Those that a block sets; of a user as `users.NAME.name`."""
    for group, values in tomllib.loads(block).items():
        if group in ("users", "groups"):
            yield from (f"users.NAME.{name}" for user in values.values() for name in user)
        elif isinstance(values, dict):
            yield from (f"{group}.{name}" for name in values)
        else:
            yield group


def options_in_values(block: str) -> Iterator[str]:
    """Those that a file of values for the chart sets."""
    values = yaml.safe_load(block)
    for group, found in values.get("config", {}).items():
        yield from (f"{group}.{name}" for name in found)
    for user in values.get("users", {}).get("inline", {}).values():
        yield from (f"users.NAME.{name}" for name in user)


def is_option(name: str) -> bool:
    if name.startswith("users.NAME."):
        return name.removeprefix("users.NAME.") in UserOptions.model_fields
    return name in options()


def problem_of_command(line: str) -> str | None:
    """What is wrong with a line that begins with `s3sftp`: its command, or a flag of it."""
    words = line.split("|")[0].split(">")[0].split()[1:]
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            return f"there is no command {words[0]!r} in: {line}"
        command, words = found, words[1:]
    known = {flag for parameter in command.get_params(context) for flag in parameter.opts}
    strange = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
    return f"{strange} are no flags in: {line}" if strange else None


def is_event(name: str) -> bool:
    """Whether it is a log event of the package, or a kind of the events for other systems."""
    return name in log_events() or name in set(EventKind)


def may_be_event(span: str) -> bool:
    """Whether it has the form of one, and the object of one; an option may have both, too."""
    objects = {name.partition(".")[0] for name in log_events()}
    return GRAMMAR.fullmatch(span) is not None and span.partition(".")[0] in objects


def events_of_tables(page: str) -> list[str]:
    """What the first column of each table of log lines has in backquotes."""
    found: list[str] = []
    for table in re.findall(r"^\| line in the log \|.*\n\|[-|]+\n((?:\|.*\n)+)", text_of(page), re.M):
        for row in table.splitlines():
            cell = row.split("|")[1]
            found += re.findall(r"`([^`]+)`", cell)
    return found
