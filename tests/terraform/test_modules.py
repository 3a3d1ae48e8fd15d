"""Modules and examples: formatted, valid for the provider's real schema, and doing what their tests say."""

from __future__ import annotations

import pytest

from tests.support.terraform import EXAMPLES, MODULES, Terraform

EVERYTHING = [*MODULES, *EXAMPLES]


def test_the_tree_is_formatted(terraform: Terraform) -> None:
    result = terraform("fmt", "-check", "-recursive", "-diff")
    assert result.status == 0, result.text


@pytest.mark.parametrize("at", EVERYTHING)
def test_it_is_valid(terraform: Terraform, at: str) -> None:
    terraform("init", "-no-color", at=at).ok()
    terraform("validate", "-no-color", at=at).ok()
