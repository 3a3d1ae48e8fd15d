"""What `make mutants` works with names things that exist, and docs/mutants.md shows all of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.mutants.lists import ROOT, Equivalent, equivalents, modules, suite
from tests.mutants.page import ENOUGH_PERCENT, PAGE, Score, listed, written
from tests.mutants.survivors import survivor

DIFF = """\
# s3sftp.fs.read.read_ahead.xǁPaceǁtake__mutmut_3: survived
--- s3sftp/fs/read/read_ahead.py
+++ s3sftp/fs/read/read_ahead.py
@@ -1,3 +1,3 @@
     def take(self) -> int:
-        return self.a - 1
+        return self.a - 2
"""


@pytest.mark.parametrize("path", [*modules(), *suite()])
def test_what_is_listed_exists(path: str) -> None:
    assert (ROOT / path).is_file()


@pytest.mark.parametrize("known", equivalents(), ids=lambda known: f"{known.function}: {known.becomes}")
def test_what_an_equivalent_mutant_changes_is_in_its_module(known: Equivalent) -> None:
    assert known.module in modules()
    text = (ROOT / known.module).read_text("utf-8")
    functions = [
        ast.get_source_segment(text, node) or ""
        for name, node in _functions(ast.parse(text))
        if name == known.function
    ]
    lines = [[line.strip() for line in function.splitlines()] for function in functions]
    assert any(set(known.was.splitlines()) <= set(each) for each in lines)
    assert known.why


def _functions(module: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods by their names, as `Class.method`."""
    for node in module.body:
        for inner in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(inner, ast.FunctionDef):
                yield f"{node.name}.{inner.name}" if isinstance(node, ast.ClassDef) else inner.name, inner


def test_the_page_shows_each_module_with_a_score_that_is_enough() -> None:
    rows = re.findall(r"^\| `(s3sftp/\S+)` \|.*\| ([\d.]+) % \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert [module for module, _ in rows] == modules()
    assert [row for row in rows if float(row[1]) < ENOUGH_PERCENT] == []


def test_the_page_shows_the_equivalents() -> None:
    assert listed(equivalents()) in PAGE.read_text("utf-8")


def test_a_score_is_of_the_mutants_that_are_faults() -> None:
    score = Score("s3sftp/a.py", mutants=25, killed=19, equivalent=5)
    assert score.is_enough
    assert str(score) == "`s3sftp/a.py` 25 19 5 1 95.0 %"
    assert not Score("s3sftp/a.py", mutants=25, killed=18, equivalent=5).is_enough
    page = written("<!-- scores -->\n<!-- /scores -->", [score, score])
    assert "| all | 50 | 38 | 10 | 2 | 95.0 % |" in page
    assert written(page, [score, score]) == page


def test_a_mutant_is_known_by_its_change_and_not_by_its_number() -> None:
    one = survivor("s3sftp.fs.read.read_ahead.xǁPaceǁtake__mutmut_3", DIFF)
    assert (one.module, one.function) == ("s3sftp/fs/read/read_ahead.py", "Pace.take")
    assert survivor("s3sftp.fs.read.read_ahead.x_take__mutmut_3", DIFF).function == "take"
    same = Equivalent(one.module, one.function, "return self.a - 1", "return self.a - 2", "")
    assert one.is_one_of([same])
    assert not one.is_one_of([Equivalent(one.module, one.function, same.was, "return self.a + 1", "")])
