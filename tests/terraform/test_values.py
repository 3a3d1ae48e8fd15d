"""Values of the modules that no schema knows, against a table of those that AWS takes."""

from __future__ import annotations

import pytest

from tests.support.terraform import EXAMPLES, MODULES, Terraform
from tests.terraform.values import VALUES, paths_met, wrong_values

pytestmark = pytest.mark.timeout(600)  # the first time the stand-in is installed
EVERYTHING = [*MODULES, *EXAMPLES]


@pytest.mark.parametrize("at", EVERYTHING)
def test_every_value_is_one_that_aws_takes(terraform: Terraform, at: str) -> None:
    assert wrong_values(terraform.tested(at).all_resources()) == []


def test_the_table_has_no_line_that_nothing_is_compared_with(terraform: Terraform) -> None:
    met = set().union(*(paths_met(terraform.tested(at).all_resources()) for at in EVERYTHING))
    assert {(kind, path) for kind, paths in VALUES.items() for path in paths} == met
