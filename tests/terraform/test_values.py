"""Values of the modules that no schema knows, against a table of those that AWS takes."""

from __future__ import annotations

import pytest

from tests.support.terraform import EXAMPLES, MODULES, Terraform
from tests.terraform.allowed_values import VALUES, paths_met, wrong_values

pytestmark = pytest.mark.timeout(600)  # the first time the stand-in is installed
EVERYTHING = [*MODULES, *EXAMPLES]


@pytest.mark.parametrize("at", EVERYTHING)
def test_every_value_is_one_that_aws_takes(terraform: Terraform, at: str) -> None:
    assert wrong_values(terraform.tested(at).all_resources()) == []


def test_the_table_has_no_line_that_nothing_is_compared_with(terraform: Terraform) -> None:
    met = set().union(*(paths_met(terraform.tested(at).all_resources()) for at in EVERYTHING))
    assert {(kind, path) for kind, paths in VALUES.items() for path in paths} == met


@pytest.mark.parametrize(
    ("at", "run"),
    [
        ("modules/bucket", "everything_asked_for"),
        ("modules/access", "by_pod_identity_with_everything"),
        ("modules/network", "a_load_balancer"),
        ("modules/users", "everything_asked_for"),
        ("modules/mount-role", "everything_asked_for"),
        ("modules/shared-state", "everything_asked_for"),
    ],
)
def test_all_that_can_have_tags_has_those_that_were_asked_for(
    terraform: Terraform, at: str, run: str
) -> None:
    made = [each for each in terraform.tested(at).resources(run) if each["mode"] == "managed"]
    taggable = [each for each in made if "tags_all" in each["values"]]
    assert taggable
    untagged = [each["address"] for each in taggable if (each["values"]["tags"] or {}).get("team") != "files"]
    assert untagged == []
