"""Short runs of the model; `python -m tests.model --minutes N` for long ones."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from testbed.s3_store import Store
from tests.model.machine import playing
from tests.model.world import memory_world, s3_world
from tests.support.logs import Level

# The same steps in each run: a test that fails now and then helps nobody. Long runs choose new ones.
SHORT = settings(
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("log_level", ["info", "debug"])
def test_the_server_is_a_dictionary_of_files_over_memory(log_level: Level) -> None:
    with playing(memory_world(log_level)) as machine:
        run_state_machine_as_test(machine, settings=settings(SHORT, max_examples=12, stateful_step_count=30))


@pytest.mark.parametrize(
    ("store", "meddles"),
    [("seaweed", True), ("seaweed", False), ("moto", True)],
    ids=["seaweed with somebody else", "seaweed alone", "moto with somebody else"],
    indirect=["store"],
)
def test_the_server_is_a_dictionary_of_files_over_s3(store: Store, meddles: bool) -> None:
    with playing(s3_world(store, meddles=meddles)) as machine:
        run_state_machine_as_test(machine, settings=settings(SHORT, max_examples=2, stateful_step_count=12))
