"""Writes what is made from the code into the README of each Terraform module: its variables and outputs.

`python docs/tools/terraform.py`; a test compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "terraform/modules").iterdir())
BEGIN = "<!-- made by docs/tools/terraform.py from variables.tf and outputs.tf -->"

_BLOCK = re.compile(r'^(?:variable|output) "(\w+)" \{\n(.*?)^\}', re.M | re.S)
# `terraform fmt` puts each argument of a block behind two spaces, and what belongs to it behind more
_ARGUMENT = re.compile(r"^  (\w+) += (.*?)(?=^  \w|\Z)", re.M | re.S)


def readme(module: Path) -> str:
    """The whole README of a module: what stands there before the mark, and tables behind it."""
    text = (module / "README.md").read_text("utf-8")
    return text.partition(BEGIN)[0] + BEGIN + "\n\n" + "\n".join(_tables(module))


def _tables(module: Path) -> Iterator[str]:
    yield "## Variables\n"
    yield "| variable | what it is | type | default |\n|---|---|---|---|"
    for name, given in _blocks(module / "variables.tf"):
        default = _code(given["default"]) if "default" in given else "**required**"
        yield f"| `{name}` | {_text(given['description'])} | {_code(given['type'])} | {default} |"
    yield "\n## Outputs\n"
    yield "| output | what it is |\n|---|---|"
    for name, given in _blocks(module / "outputs.tf"):
        yield f"| `{name}` | {_text(given['description'])} |"
    yield ""


def _blocks(file: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Each variable or output with its arguments, as they are written."""
    for name, body in _BLOCK.findall(file.read_text("utf-8")):
        yield name, {argument: value.strip() for argument, value in _ARGUMENT.findall(body)}


def _text(literal: str) -> str:
    return literal.strip('"').replace('\\"', '"').replace("|", "\\|")


def _code(value: str) -> str:
    """A type or value in one line."""
    line = re.sub(r"\s+", " ", value.partition("\n\n")[0])
    line = re.sub(r"(?<=[\w\])\"]) (?=\w+ = )", ", ", line)
    return f"`{line.replace('|', chr(92) + '|')}`"


def main() -> None:
    for module in MODULES:
        (module / "README.md").write_text(readme(module), "utf-8")


if __name__ == "__main__":
    main()
