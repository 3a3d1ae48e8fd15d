"""`python -m tests.model --minutes 30 [--world NAME]`: the model, with new steps each time."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import playing
from tests.model.world import World, memory_world, s3_world
from tests.support.moto_server import running_moto
from tests.support.seaweed import running_seaweed

LONG = settings(
    deadline=None,
    database=None,
    print_blob=True,
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
)
EXAMPLES = {"memory": 100, "seaweed": 10, "alone": 10, "moto": 10}
"""Examples of one round: half a minute or so."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--world", choices=sorted(EXAMPLES), default="memory")
    arguments = parser.parse_args()
    stop = time.monotonic() + 60 * arguments.minutes
    rounds = 0
    with opening(arguments.world) as world:
        while time.monotonic() < stop:
            with playing(world()) as machine:
                rounds_settings = settings(LONG, max_examples=EXAMPLES[arguments.world])
                run_state_machine_as_test(machine, settings=rounds_settings)
            rounds += 1
            print(f"{rounds * EXAMPLES[arguments.world]} examples were right", flush=True)


@contextmanager
def opening(name: str) -> Iterator[Callable[[], AbstractAsyncContextManager[World]]]:
    """How to make a world of that name, and the S3 server that it needs."""
    if name == "memory":
        yield memory_world
    elif name == "moto":
        with running_moto() as store:
            yield lambda: s3_world(store, meddles=True)
    else:
        with running_seaweed() as store:
            yield lambda: s3_world(store, meddles=name == "seaweed")


if __name__ == "__main__":
    main()
