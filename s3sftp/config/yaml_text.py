"""Reads YAML as plain tables: nothing is executed, and nothing turns into something that was not written.

PyYAML parses; its resolver and constructors, which are those of YAML 1.1, are not used. Unquoted values are
those of YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema), and keys are always texts:

| written | here | in YAML 1.1 |
|---|---|---|
| `no`, `off`, `y` | the text | false |
| `1:20`, `1_000`, `2026-01-01` | the text | 80, 1000, a date |
| `0123` | refused: it means 83 to some, 123 to others | 83 |
| `no: …`, `0123: …` as a key | the text | false, 83 |
| `!!python/object …`, `!env …` | refused, as is every tag but `!!str` | may run code |
| the same key twice | refused | the last wins |

[Decision 0034](../../docs/decisions/0034-users-in-yaml.md) says why PyYAML.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Path_ = tuple[str, ...]
_PLAIN = "plain"
_TEXT, _LIST, _TABLE = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))
_MAX_REPEATED = 100_000
"""How many values aliases may stand for in one file: nine aliases of nine aliases, and so on, would fill the
memory."""
_MOST_DIGITS = 100
"""A number of thousands of digits cannot be shown, not even in an error (`sys.set_int_max_str_digits`)."""
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL, _HEX = re.compile(r"0o[0-7]+"), re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_AMBIGUOUS = re.compile(r"[-+]?0[0-9_]+")
_WORDS: Mapping[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class YamlError(ValueError):
    """Why a text cannot be used, with the line and the column, and without any of its values."""

    def __init__(self, problem: str, node: Node | None = None) -> None:
        super().__init__(f"{problem}{_at(node.start_mark) if node else ''}")


def parse_yaml(text: str) -> object:
    """The value of a document; an empty one is None.

    Raises YamlError: if the text is not one document of YAML, or has tags, keys that are not texts, a key
    twice, a number that is read in two ways, or aliases that stand for too much.
    Raises RecursionError: if it is nested too deeply.
    """
    node = _compose(text)
    return None if node is None else _Converter().value(node)


def yaml_lines(text: str) -> Mapping[Path_, int]:
    """The line, from 1, of each key and list item in a text that `parse_yaml` accepts. Items are named by
    their number from 0, as texts."""
    lines: dict[Path_, int] = {}
    node = _compose(text)
    if node is not None:
        _note(node, (), lines)
    return lines


# with libyaml, forty times as fast; without it, as where no wheel fits, the same in Python
_LOADER: type[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class _Composer(_LOADER):  # type: ignore[misc]
    """Makes nodes and says which were written without quotes and tag."""

    def resolve(self, kind: type[Node], value: str | None, implicit: Any) -> str:
        if kind is ScalarNode:
            return _PLAIN if implicit[0] else _TEXT
        return _TABLE if kind is MappingNode else _LIST


def _compose(text: str) -> Node | None:
    try:
        return cast("Node | None", _Composer(text).get_single_node())
    except yaml.MarkedYAMLError as error:
        # str(error) would quote the text, which may be a credential
        mark = error.problem_mark or error.context_mark
        problem = "it has a second document" if "another document" in (error.problem or "") else error.problem
        raise YamlError(f"{problem}{_at(mark) if mark else ''}") from None
    except yaml.reader.ReaderError as error:
        line = text.encode()[: error.position].count(b"\n") + 1
        raise YamlError(f"{error.reason} (at line {line})") from None


def _at(mark: Any) -> str:
    return f" (at line {mark.line + 1}, column {mark.column + 1})"


class _Converter:
    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._open: set[int] = set()
        self._repeated = 0

    def value(self, node: Node) -> object:
        self._count(node)
        if isinstance(node, ScalarNode):
            return _scalar(node)
        if node.tag not in (_LIST, _TABLE):
            raise YamlError("tags are not read here", node)
        if id(node) in self._open:
            raise YamlError("an alias stands for something that contains it", node)
        self._open.add(id(node))
        found = self._table(node) if isinstance(node, MappingNode) else [*map(self.value, node.value)]
        self._open.remove(id(node))
        return found

    def _count(self, node: Node) -> None:
        if id(node) in self._seen:
            self._repeated += 1
            if self._repeated > _MAX_REPEATED:
                raise YamlError(f"aliases stand for more than {_MAX_REPEATED} values", node)
        self._seen.add(id(node))

    def _table(self, node: MappingNode) -> dict[str, object]:
        table: dict[str, object] = {}
        first: dict[str, Node] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode) or key.tag not in (_PLAIN, _TEXT):
                raise YamlError("a key should be a text", key)
            if key.value in first:
                line = first[key.value].start_mark.line + 1
                raise YamlError(f"{key.value[:100]!r} occurs twice, first in line {line}", key)
            first[key.value] = key
            table[key.value] = self.value(value)
        return table


def _scalar(node: ScalarNode) -> object:
    if node.tag == _TEXT:
        return node.value
    if node.tag != _PLAIN:
        raise YamlError("tags are not read here", node)
    text: str = node.value
    if text in _WORDS:
        return _WORDS[text]
    if _AMBIGUOUS.fullmatch(text):
        raise YamlError(
            "a number that begins with 0 is octal to some and decimal to others: put it in quotes if it is a"
            " text, else leave the 0 out",
            node,
        )
    for form, read in _NUMBERS:
        if form.fullmatch(text):
            if len(text) > _MOST_DIGITS:
                raise YamlError(f"this number has more than {_MOST_DIGITS} digits", node)
            return read(text)
    return text


_NUMBERS: tuple[tuple[re.Pattern[str], Callable[[str], int | float]], ...] = (
    (_INT, int),
    (_OCTAL, lambda text: int(text[2:], 8)),
    (_HEX, lambda text: int(text[2:], 16)),
    (_FLOAT, lambda text: float(re.sub(r"\.(?=[inIN])", "", text))),
)


def _note(node: Node, path: Path_, lines: dict[Path_, int]) -> None:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            below = (*path, key.value)
            lines[below] = key.start_mark.line + 1
            _note(value, below, lines)
    elif isinstance(node, SequenceNode):
        for number, item in enumerate(node.value):
            below = (*path, str(number))
            lines[below] = item.start_mark.line + 1
            _note(item, below, lines)
