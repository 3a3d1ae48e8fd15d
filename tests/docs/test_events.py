"""docs/events.md has every log event of the package, with its levels and fields, and nothing else."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

import pytest

from s3sftp.telemetry.audit import MADE_FOR_IT
from tests.docs.guides import DOCS, is_event, is_option, may_be_event
from tests.docs.log_events import GRAMMAR, LEVELS, ROOT, log_events

_ROW = re.compile(r"^\| `([^`]+)` \| ([a-z, ]+) \|([^|]*)\|(.+)\|(.+)\|$")
_COMMON = re.compile(r"\bhas the fields ((?:`\w+`,\s)*`\w+`)")
"""The fields of the rows of a section that have `as above`."""
_HEADS = "| event | level | fields | what it means | what to do |\n|---|---|---|---|---|\n"


@dataclass(frozen=True)
class Row:
    section: str
    name: str
    levels: frozenset[str]
    fields: frozenset[str]
    texts: tuple[str, str]


def rows() -> list[Row]:
    page = (DOCS / "events.md").read_text("utf-8")
    return [row for section in page.split("\n## ")[1:] for row in _rows_of(section)]


def _rows_of(section: str) -> list[Row]:
    title, _, text = section.partition("\n")
    common = re.findall(r"`(\w+)`", found[1]) if (found := _COMMON.search(text)) else []
    return [
        Row(
            title,
            name,
            frozenset(levels.split(", ")),
            frozenset(common if fields == "as above" else re.findall(r"`(\w+)`", fields)),
            (means, do),
        )
        for name, levels, fields, means, do in filter(None, map(_cells, text.splitlines()))
    ]


def _cells(line: str) -> tuple[str, ...] | None:
    found = _ROW.match(line)
    return tuple(cell.strip() for cell in found.groups()) if found else None


ROWS = {row.name: row for row in rows()}


def test_the_page_has_every_event_and_no_other() -> None:
    assert sorted(ROWS) == sorted(log_events())
    assert len(ROWS) == len(rows()), "a row is there twice"


def test_every_row_of_the_page_is_read() -> None:
    page = (DOCS / "events.md").read_text("utf-8")
    lines = [line for table in page.split(_HEADS)[1:] for line in table.split("\n\n")[0].splitlines()]
    assert [line for line in lines if _cells(line) is None] == []
    assert len(lines) == len(ROWS)


@pytest.mark.parametrize("name", sorted(log_events()))
def test_an_event_has_the_levels_and_the_fields_that_the_page_says(name: str) -> None:
    event, row = log_events()[name], ROWS[name]
    assert row.fields == event.fields
    assert row.levels
    if event.is_level_computed:
        assert row.levels <= event.levels
    else:
        assert row.levels == event.levels


@pytest.mark.parametrize("name", sorted(log_events()))
def test_an_event_is_named_by_its_object_and_what_happened_to_it(name: str) -> None:
    assert GRAMMAR.fullmatch(name)
    assert ROWS[name].section == name.partition(".")[0]


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_row_says_what_it_means_and_what_to_do(name: str) -> None:
    means, do = ROWS[name].texts
    assert means.endswith(".")
    assert do
    assert not do.endswith(".")


def test_the_alerts_of_the_page_are_events() -> None:
    page = (DOCS / "events.md").read_text("utf-8")
    section = page.split("\n## What to alert on\n")[1].split("\n## ")[0]
    named = re.findall(r"`([^`]+)`", section)
    assert named
    assert set(named) <= set(ROWS)


@pytest.mark.parametrize(
    "page",
    [
        *("README.md", "docs/operations.md", "docs/load-balancers.md", "docs/users.md", "docs/scale.md"),
        *("docs/algorithms.md", "docs/clients.md", "docs/semantics.md", "docs/configuration.md"),
    ],
)
def test_an_event_that_another_page_names_is_one(page: str) -> None:
    named = re.findall(r"`([^`\n]+)`", (ROOT / page).read_text("utf-8"))
    strange = [name for name in named if may_be_event(name) and not is_option(name) and not is_event(name)]
    assert strange == []


def test_the_tests_ask_for_events_that_exist() -> None:
    """A test that an event is not logged would pass for ever under another name."""
    asked = re.compile(
        r'\b(?:events|logged|wait_event|count|until|until_logged|of|named)\((?:\w+, )?"([^"]+)"'
        r'|\["event"\] [!=]= "([^"]+)"'
    )
    named = {
        name
        for file in (ROOT / "tests").rglob("*.py")
        for found in asked.findall(file.read_text("utf-8"))
        for name in found
        if GRAMMAR.fullmatch(name)
    }
    assert len(named) > 50
    strange = {name for name in named if not is_event(name)}
    assert strange - MADE_FOR_IT == set()


def test_every_logger_of_the_package_is_one_that_is_read() -> None:
    """A logger under another name, or a method of one that is handed on, would log what nobody has read."""
    strange = []
    for file in sorted((ROOT / "s3sftp").rglob("*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "get_logger":
                strange += [] if _is_read(node, parents) else [f"{file}: {ast.unparse(parents[node])}"]
            if isinstance(node, ast.Name) and node.id == "_log" and isinstance(node.ctx, ast.Load):
                strange += [] if _is_used_well(node, parents) else [f"{file}: {ast.unparse(parents[node])}"]
    assert strange == []


def _is_read(made: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """It is called `_log`, or used where it is made."""
    parent = parents[made]
    if isinstance(parent, ast.Assign):
        return [ast.unparse(target) for target in parent.targets] == ["_log"]
    return isinstance(parent, ast.Attribute)


def _is_used_well(logger: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    method = parents[logger]
    if not isinstance(method, ast.Attribute):
        return False
    around = parents[method]
    is_called = isinstance(around, ast.Call) and around.func is method
    is_renamed = method.attr in LEVELS and isinstance(around, ast.IfExp | ast.Assign)
    return is_renamed or (is_called and method.attr in {*LEVELS, "log", "bind", "is_enabled_for"})
