"""Lists the modules in docs/architecture.md from their docstrings: `python docs/tools/modules.py`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/architecture.md"
START, END = "<!-- modules -->\n", "<!-- /modules -->"


def main() -> None:
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")


def page(text: str) -> str:
    """The page with its list of modules as the code is now."""
    before, rest = text.split(START)
    return f"{before}{START}{''.join(_listed())}{END}{rest.split(END)[1]}"


def _listed() -> Iterator[str]:
    for package in sorted((ROOT / "s3sftp").rglob("__init__.py")):
        name = ".".join(package.parent.relative_to(ROOT).parts)
        yield f"\n**`{name}`**: {_summary(package)}\n\n"
        for module in sorted(package.parent.glob("*.py")):
            if module != package:
                yield f"- `{module.stem}`: {_summary(module)}\n"


def _summary(module: Path) -> str:
    """The first sentence of its docstring, which may take two lines."""
    text = ast.get_docstring(ast.parse(module.read_text("utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


if __name__ == "__main__":
    main()
