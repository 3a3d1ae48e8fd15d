"""`python -m tests.model --minutes 30 [--store NAME]`: the model, with new steps each time."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from testbed.seaweed import running_seaweed
from tests.model.machine import playing
from tests.model.world import World, memory_world, s3_world
from tests.support.moto_server import running_moto

LONG = settings(
    deadline=None,
    database=None,
    print_blob=True,
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
)
EXAMPLES = {"memory": 100, "seaweed": 10, "alone": 10, "moto": 10}
"""Stores, and the examples of one round: half a minute or so."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--store", choices=sorted(EXAMPLES), default="memory", help="alone: seaweed, undisturbed"
    )
    arguments = parser.parse_args()
    try:
        examples = _play(arguments.store, 60 * arguments.minutes)
    except Exception as error:
        traceback.print_exception(error)
        print(f"FAILED: {arguments.store} is not what the model says", flush=True)
        sys.exit(1)
    print(f"OK: {examples} examples on {arguments.store} were right", flush=True)


def _play(store: str, seconds: float) -> int:
    """Round after round; how many examples were right. Raises what the first wrong one did."""
    stop = time.monotonic() + seconds
    right = 0
    with opening(store) as world:
        while time.monotonic() < stop:
            with playing(world()) as machine:
                run_state_machine_as_test(machine, settings=settings(LONG, max_examples=EXAMPLES[store]))
            right += EXAMPLES[store]
            print(f"{right} examples were right", flush=True)
    return right


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
