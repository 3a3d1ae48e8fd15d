"""A copy of what is checked out, as far as it is built and read, without what lies around after work."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PARTS = ("s3sftp", "docs", "examples", "tests", "testbed", "bench")
_FILES = (
    *("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"),
    *("Makefile", "mkdocs.yml", "pyproject.toml", ".gitignore"),
)


def checkout(target: Path) -> Path:
    """Copy it there, with the times of now."""
    ignored = shutil.ignore_patterns("__pycache__", "Cargo.lock", ".cache")
    for part in _PARTS:
        shutil.copytree(ROOT / part, target / part, ignore=ignored, copy_function=shutil.copyfile)
    for name in _FILES:
        shutil.copyfile(ROOT / name, target / name)
    return target
