"""The line of each option in a TOML file, compared with where its value stands in the text.

Texts are generated: every value is a number that occurs nowhere else, so `tomllib` says which option has the
number, and a search says which line has it.
"""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3sftp.config.toml_lines import toml_lines

NAMES = [
    "acme",
    "prefix",
    "a-b",
    "1",
    '"dotted.name"',
    "'literal [x]'",
    '"esc\\u0061ped"',
    '"# = no comment"',
]
NOISE = [
    "# a comment with [brackets] and 'quotes",
    "",
    'text_{} = """several\n[lines]\nof = \'\'\'text\'\'\' \\"\\"\\" end"""',
    "raw_{} = '''\n[[no.table]] \\\n\"\"\" '' '''''",
    "when_{} = 2026-01-01 10:00:00.5Z # one space, two dots",
    "float_{} = -1.5e+3",
    "empty_{} = []",
    "inline_{} = {{ a.b = 'x]}}', c = [ ] }}",
]


class Text:
    """A TOML text that grows, with numbers that are unique."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.parts: list[str] = []
        self.count = 0

    def number(self) -> str:
        self.count += 1
        return str(70_000_000 + self.count)

    def name(self) -> str:
        """A key that no other is equal to."""
        self.count += 1
        name = self.draw(st.sampled_from(NAMES))
        return f"{name[:-1]}{self.count}{name[-1]}" if name[0] in "'\"" else f"{name}{self.count}"

    def value(self, depth: int) -> str:
        kind = self.draw(st.integers(0, 5 if depth else 0))
        if kind <= 2:
            return self.number()
        if kind == 3:
            items = [self.value(depth - 1) for _ in range(self.draw(st.integers(1, 3)))]
            between = self.draw(st.sampled_from([", ", ",\n", ", # ],\n  ", " ,\n\n"]))
            return f"[{self.draw(st.sampled_from(['', ' # x ]' + chr(10)]))}{between.join(items)}]"
        pairs = [f"{self.name()} = {self.value(depth - 1)}" for _ in range(self.draw(st.integers(1, 3)))]
        return "{ " + ", ".join(pairs) + " }"

    def pairs(self) -> None:
        for _ in range(self.draw(st.integers(1, 3))):
            dots = [self.name() for _ in range(self.draw(st.integers(1, 2)))]
            space = self.draw(st.sampled_from(["", " ", "\t"]))
            self.parts.append(f"{space}{f'{space}.{space}'.join(dots)}{space}={space}{self.value(2)}")
            self.count += 1
            self.parts.append(self.draw(st.sampled_from(NOISE)).format(self.count))


@st.composite
def toml_texts(draw: st.DrawFn) -> str:
    text = Text(draw)
    text.pairs()
    for _ in range(draw(st.integers(0, 4))):
        name = text.name()
        if draw(st.booleans()):
            text.parts.append(f"[ {name} . {text.name()} ] # [x]")
            text.pairs()
            continue
        for _ in range(draw(st.integers(1, 3))):
            text.parts.append(f"[[{name}]]")
            text.pairs()
            if draw(st.booleans()):
                text.parts.append(f"[{name}.below]")
                text.pairs()
    return draw(st.sampled_from(["\n", "\r\n"])).join(text.parts)


def numbers_in(value: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    """The path of each of our numbers."""
    if isinstance(value, dict):
        return {k: v for name, each in value.items() for k, v in numbers_in(each, (*path, name)).items()}
    if isinstance(value, list):
        return {k: v for n, each in enumerate(value) for k, v in numbers_in(each, (*path, str(n))).items()}
    return {path: value} if isinstance(value, int) and value > 70_000_000 else {}


@pytest.mark.slow
@settings(deadline=None)
@given(toml_texts())
def test_each_value_is_on_the_line_where_a_search_finds_it(text: str) -> None:
    lines = toml_lines(text)
    for path, number in numbers_in(tomllib.loads(text)).items():
        assert lines[path] == text[: text.index(str(number))].count("\n") + 1, path


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", {}),
        ("[users.acme]\n[users.bob]\n", {("users",): 1, ("users", "acme"): 1, ("users", "bob"): 2}),
        ("[[a]]\n[[a]]\n[a.b]\n", {("a",): 1, ("a", "0"): 1, ("a", "1"): 2, ("a", "1", "b"): 3}),
        (
            "a = [\n1,\n\n[2,\n3]]",
            {("a",): 1, ("a", "0"): 2, ("a", "1"): 4, ("a", "1", "0"): 4, ("a", "1", "1"): 5},
        ),
    ],
    ids=["empty", "tables", "lists of tables", "lists of lists"],
)
def test_tables_and_lists_have_lines_too(text: str, lines: dict[tuple[str, ...], int]) -> None:
    assert toml_lines(text) == lines
