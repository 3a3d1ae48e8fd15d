"""Both ways that a READ takes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.logs import Level, capture_events


@pytest.fixture(params=["info", "debug"])
def log_level(request: pytest.FixtureRequest) -> Iterator[Level]:
    """The level at which the test's servers log: `info`, the default, and `debug`.

    At `debug` each READ has a line in the log, so none is answered as it arrives.
    """
    with capture_events(request.param):
        yield request.param
