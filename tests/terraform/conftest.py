"""One Terraform for all tests of the tree."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.terraform import Terraform, standing_in


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terraform]:
    """Terraform on a copy of `terraform/`, with the schema of the provider for AWS."""
    with standing_in(tmp_path_factory.mktemp("terraform")) as running:
        yield running
