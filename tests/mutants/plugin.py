"""How tests meet mutants: a plugin of pytest, named in pyproject.toml.

Tests of many examples come last, because most mutants fail others before; their examples are the same each
time and are not made smaller, and no deadline holds that a busy machine could miss.
"""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings

settings.register_profile(
    "mutants",
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate, Phase.target),
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("hypothesis") is not None)
