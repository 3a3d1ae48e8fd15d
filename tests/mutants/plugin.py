"""How tests meet mutants: a plugin of pytest, named in pyproject.toml.

Tests of many examples come last, because most mutants fail others before; their examples are the same each
time and are not made smaller, and nothing fails because a busy machine takes its time.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "mutants",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.generate, Phase.target),
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("hypothesis") is not None)
