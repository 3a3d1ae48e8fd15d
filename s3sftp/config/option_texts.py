"""What each option does: the text below it in its class, read from the source to make a page or a schema.

Pydantic reads these texts when it makes a class, if `use_attribute_docstrings` asks for it. Then each command
and each worker would parse the source at its start, and hardly any of them shows the texts.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
import typing
from collections.abc import Iterator
from typing import Any, cast

from s3sftp.config.options import Options


def describe_options(*groups: type[Options]) -> None:
    """Give every option of these groups, and of the groups in them, its text as the field's `description`."""
    for group in groups:
        for below in _groups_in(group):
            if below is not group:
                describe_options(below)
        texts: dict[str, str] = {}
        for each in reversed(group.__mro__):
            if issubclass(each, Options):
                texts |= _texts_of(each)
        for name, field in group.model_fields.items():
            field.description = field.description or texts.get(name)
        group.model_rebuild(force=True)


def _groups_in(group: type[Options]) -> Iterator[type[Options]]:
    waiting: list[Any] = [field.annotation for field in group.model_fields.values()]
    while waiting:
        annotation = waiting.pop()
        if isinstance(annotation, type) and not typing.get_origin(annotation):
            if issubclass(annotation, Options):
                yield annotation
        else:
            waiting += typing.get_args(annotation)


def _texts_of(group: type[Options]) -> dict[str, str]:
    """The strings that stand directly below the options of one class."""
    texts = {}
    body = cast(ast.ClassDef, ast.parse(textwrap.dedent(inspect.getsource(group))).body[0]).body
    for option, below in itertools.pairwise(body):
        if (
            isinstance(option, ast.AnnAssign)
            and isinstance(option.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            texts[option.target.id] = inspect.cleandoc(below.value.value)
    return texts
