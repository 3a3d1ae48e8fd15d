"""Python files that are no modules of a package, such as the tools that write pages, loaded as modules."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType


def load(file: Path, name: str = "") -> ModuleType:
    """The module in a file, run anew; `name` is the file's if it is empty."""
    spec = importlib.util.spec_from_file_location(name or file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
