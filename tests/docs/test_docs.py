"""The documents tell the truth: what they name exists, and what is made from the code is up to date."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from s3sftp.app.options import ServerOptions
from s3sftp.config import is_size
from tests.limits.operations import OPERATIONS, WITH_KEPT_UPLOADS, WITH_THE_JOURNAL_IN_THE_BUCKET, shown
from tests.support.loaded_files import load

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TEST = re.compile(r"`((?:tests|s3sftp/testing)/[\w/]+\.py)::(\w+)`")


@pytest.mark.parametrize("page", ["semantics.md", "promises.md"])
def test_every_test_that_a_page_names_exists(page: str) -> None:
    named = TEST.findall((DOCS / page).read_text("utf-8"))
    assert named
    missing = [f"{file}::{name}" for file, name in named if not _has_test(ROOT / file, name)]
    assert missing == []


def test_every_sentence_of_the_semantics_names_its_test() -> None:
    lines = (DOCS / "semantics.md").read_text("utf-8").splitlines()
    bare = [line for line in lines if line.startswith("- ") and not TEST.search(line)]
    assert bare == []


def test_every_promise_names_its_proof() -> None:
    rows = [line for line in (DOCS / "promises.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    proofs = [row.rstrip(" |").rsplit(" | ", 1)[-1] for row in rows if row != "| promise | shown by |"]
    assert len(proofs) > 50
    assert [proof for proof in proofs if "`" not in proof] == []


def test_the_page_of_options_is_what_the_options_say() -> None:
    assert (DOCS / "configuration.md").read_text("utf-8") == _tool("configuration").page()


def test_sizes_are_shown_as_sizes_and_counts_as_counts() -> None:
    page = (DOCS / "configuration.md").read_text("utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    kinds = {row[0].strip("`"): (row[-3], row[-2].strip("`")) for row in rows}
    sizes = {name for name, (kind, _) in kinds.items() if kind == "size"}
    assert sizes == {name for name in kinds if name.endswith(("_bytes", "_bytes_per_second"))}
    shown = r"none|0|[1-9][0-9]*( [KMG]iB)?"
    assert [name for name in sizes if not re.fullmatch(shown, kinds[name][1])] == []
    assert [name for name, (kind, default) in kinds.items() if kind != "size" and "iB" in default] == []
    assert kinds["max_reads_waiting"] == ("number", "4096")


def test_an_option_is_a_size_by_its_type_and_its_name_says_so() -> None:
    ints = [
        (f"{group}.{name}", is_size(field.metadata))
        for group, at in ServerOptions.model_fields.items()
        for model in (at.annotation, *get_args(at.annotation))
        if isinstance(model, type) and issubclass(model, BaseModel)
        for name, field in model.model_fields.items()
        if int in (field.annotation, *get_args(field.annotation))
    ]
    assert [name for name, of_bytes in ints if of_bytes != name.endswith("_bytes")] == []
    assert {of_bytes for _, of_bytes in ints} == {True, False}


def test_the_page_of_algorithms_is_what_the_policies_offer() -> None:
    assert (DOCS / "algorithms.md").read_text("utf-8") == _tool("algorithms").page()


def test_the_page_of_metrics_has_all_of_the_catalogue_and_nothing_else() -> None:
    assert (DOCS / "metrics.md").read_text("utf-8") == _tool("metrics").page()


def test_the_table_of_costs_is_what_the_tests_demand() -> None:
    page = (DOCS / "semantics.md").read_text("utf-8")
    for mark, operations in (
        ("budget", OPERATIONS),
        ("budget-journal", WITH_THE_JOURNAL_IN_THE_BUCKET),
        ("budget-resume", WITH_KEPT_UPLOADS),
    ):
        table = re.search(rf"<!-- {mark} -->\n(.*?)<!-- /{mark} -->", page, re.S)
        assert table is not None
        wanted = [f"| {operation.name} | {shown(operation.budget)} |" for operation in operations]
        assert table.group(1).splitlines()[2:] == wanted


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")) + sorted(ROOT.glob("*.md")), ids=lambda p: p.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_commands_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    named = set(re.findall(r"\bmake (\w+)", (ROOT / "README.md").read_text("utf-8")))
    assert named
    assert {name for name in named if not re.search(rf"^{name}:", makefile, re.M)} == set()


def _has_test(file: Path, name: str) -> bool:
    return file.exists() and re.search(rf"def {name}\b", file.read_text("utf-8")) is not None


def _tool(name: str):  # type: ignore[no-untyped-def]
    return load(DOCS / "tools" / f"{name}.py")
