"""Modules and examples: formatted, valid for the provider's real schema, and doing what their tests say."""

from __future__ import annotations

import re

import pytest
from packaging.specifiers import SpecifierSet

from tests.support.terraform import EXAMPLES, MODULES, PROVIDER_VERSION, TREE, Terraform

pytestmark = pytest.mark.timeout(600)  # the first time the stand-in is installed
EVERYTHING = [*MODULES, *EXAMPLES]


def test_the_tree_is_formatted(terraform: Terraform) -> None:
    result = terraform("fmt", "-check", "-recursive", "-diff")
    assert result.status == 0, result.text


@pytest.mark.parametrize("at", EVERYTHING)
def test_it_is_valid(terraform: Terraform, at: str) -> None:
    terraform("init", "-no-color", at=at).ok()
    terraform("validate", "-no-color", at=at).ok()


@pytest.mark.parametrize("at", EVERYTHING)
def test_it_passes_its_own_tests(terraform: Terraform, at: str) -> None:
    tested = terraform.tested(at)
    tested.result.ok()
    assert tested.runs, "nothing was tested"


@pytest.mark.parametrize("at", MODULES)
def test_each_refusal_has_a_test(at: str) -> None:
    variables = (TREE / at / "variables.tf").read_text("utf-8")
    refused = {
        name
        for name, body in re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', variables, re.M | re.S)
        if "validation {" in body
    }
    tests = "".join(path.read_text("utf-8") for path in (TREE / at / "tests").glob("*.tftest.hcl"))
    expected = set(re.findall(r"var\.(\w+)", " ".join(re.findall(r"expect_failures = \[(.*?)\]", tests))))
    assert expected == refused


@pytest.mark.parametrize("at", EVERYTHING)
def test_the_provider_whose_schema_is_used_is_one_that_it_asks_for(at: str) -> None:
    versions = (TREE / at / "versions.tf").read_text("utf-8")
    match = re.search(r'source  = "hashicorp/aws"\n +version = "(.*)"', versions)
    assert match is not None
    assert PROVIDER_VERSION in SpecifierSet(match[1])


@pytest.mark.parametrize("at", EVERYTHING)
def test_every_variable_and_output_has_a_description(at: str) -> None:
    for file, kind in (("variables.tf", "variable"), ("outputs.tf", "output")):
        blocks = re.findall(
            rf'^{kind} "(\w+)" \{{\n(.*?)^\}}', (TREE / at / file).read_text("utf-8"), re.M | re.S
        )
        assert blocks
        for name, body in blocks:
            assert re.search(r'^  description +?= ".+\."$', body, re.M), f"{kind} {name}"
            assert kind == "output" or re.search(r"^  type +?= ", body, re.M), f"{kind} {name} has no type"


def test_the_stand_in_leaves_no_lock_file(terraform: Terraform) -> None:
    """One would name the stand-in in place of the provider."""
    for at in EVERYTHING:
        terraform.tested(at)
    assert not [*terraform.tree.rglob(".terraform.lock.hcl")]
