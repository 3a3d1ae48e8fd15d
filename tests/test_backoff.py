"""Delays between attempts."""

from __future__ import annotations

import pytest

from s3sftp.runtime.backoff import Backoff


def test_delays_double_from_the_first_up_to_the_longest() -> None:
    assert [Backoff(0.5, 3).delay(failures) for failures in range(1, 6)] == [0.5, 1, 2, 3, 3]


@pytest.mark.parametrize(("first", "delay"), [(0, 0), (1, 60), (1e-9, 60), (90, 60)])
def test_any_number_of_failures_has_a_delay(first: float, delay: float) -> None:
    assert Backoff(first, 60).delay(1_000_000) == delay
