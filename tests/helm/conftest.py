"""The chart, rendered by both Helms."""

from __future__ import annotations

import pytest

from tests.helm.chart import Chart


@pytest.fixture(params=["3", "4"], ids=["helm3", "helm4"])
def chart(request: pytest.FixtureRequest) -> Chart:
    """The chart with each of the Helms."""
    return Chart(request.param)


@pytest.fixture
def rendered() -> Chart:
    """The chart with one Helm, where the other adds nothing."""
    return Chart("4")
