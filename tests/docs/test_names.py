"""A name leads to one thing, and every module is on the map."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

from tests.support.loaded_files import load

ROOT = Path(__file__).parents[2]


def test_no_two_public_classes_share_a_name() -> None:
    where: dict[str, list[str]] = defaultdict(list)
    for file in sorted((ROOT / "s3sftp").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where[node.name].append(str(file.relative_to(ROOT)))
    assert {name: files for name, files in where.items() if len(files) > 1} == {}


def test_the_glossary_names_types_that_exist() -> None:
    named = set(re.findall(r"`([A-Z][a-z]\w+)`", (ROOT / "docs/glossary.md").read_text("utf-8")))
    files = [file for name in ("s3sftp", "tests", "bench") for file in (ROOT / name).rglob("*.py")]
    sources = [file.read_text("utf-8") for file in files]
    assert {name for name in named if not any(re.search(rf"\b{name}\b", text) for text in sources)} == set()


def test_the_architecture_names_every_module() -> None:
    tool = load(ROOT / "docs/tools/modules.py")
    text = tool.PAGE.read_text("utf-8")
    assert tool.page(text) == text, "docs/architecture.md is not up to date: run make docs"


def test_the_files_that_the_architecture_names_exist() -> None:
    named = set(re.findall(r"`([a-z0-9_/]+\.py)`", (ROOT / "docs/architecture.md").read_text("utf-8")))
    files = [f"/{file.relative_to(ROOT)}" for file in ROOT.glob("*/**/*.py") if ".venv" not in file.parts]
    assert {name for name in named if not any(file.endswith(f"/{name}") for file in files)} == set()
