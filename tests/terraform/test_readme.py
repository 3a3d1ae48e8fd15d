"""What the modules' README pages say of variables and outputs is what the modules have."""

from __future__ import annotations

import re

import pytest

from tests.support.loaded_files import load
from tests.support.terraform import MODULES, ROOT, TREE

readme = load(ROOT / "docs/tools/terraform.py", "readme")


@pytest.mark.parametrize("at", MODULES)
def test_the_readme_is_up_to_date(at: str) -> None:
    written = (TREE / at / "README.md").read_text("utf-8")
    assert written == readme.readme(TREE / at), "run `make docs`"


@pytest.mark.parametrize("at", MODULES)
def test_the_readme_leaves_out_no_variable_and_no_output(at: str) -> None:
    """Found by another way than the tables are made by."""
    written = (TREE / at / "README.md").read_text("utf-8")
    for file, kind in (("variables.tf", "variable"), ("outputs.tf", "output")):
        names = re.findall(rf'^{kind} "(\w+)"', (TREE / at / file).read_text("utf-8"), re.M)
        assert names
        assert [name for name in names if f"\n| `{name}` | " not in written] == []
