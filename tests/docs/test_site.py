"""The site of the documentation builds, without a warning, and has what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(directory)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return directory


def test_the_site_is_built_without_a_warning(site: Path) -> None:
    assert (site / "index.html").exists()


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("reference/backends.html", "The root is always a directory."),
        ("reference/errors.html", "the storage asks to slow down"),
    ],
)
def test_the_reference_is_made_of_the_docstrings(site: Path, page: str, said: str) -> None:
    assert said in (site / page).read_text("utf-8")


def test_every_page_of_the_repository_s_documentation_is_in_it(site: Path) -> None:
    docs = ROOT / "docs"
    pages = [page.relative_to(docs) for page in docs.rglob("*.md")]
    missing = [
        str(page)
        for page in pages
        if not (site / page.with_suffix(".html")).exists() and page.name != "README.md"
    ]
    assert pages
    assert missing == []
