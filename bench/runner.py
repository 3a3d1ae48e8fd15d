"""Goes through the plan: for each work and setting, run by run, peer by peer, so noise meets all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.environment import BenchEnvironment
from bench.measurement import measure
from bench.peers import PEERS, Storage
from bench.records import Results, Sample
from bench.work import Workload

GIVE_UP_AFTER = 2
"""Failures of a peer at a work, after which it is not asked again."""


@dataclass(frozen=True)
class Step:
    """One measurement to make."""

    work: str
    setting: str
    peer: str
    run: int


def plan(
    works: Sequence[Workload], settings: Sequence[str], peers: Sequence[str], runs: int
) -> Iterator[Step]:
    """Every measurement, in order. `settings` or `peers` empty: those that each work names."""
    for work in works:
        for setting in settings or work.settings:
            chosen = [name for name in peers or work.peers if suits(work, setting, name)]
            for run in range(runs):
                # another one begins each time: who comes first after a pause is no one's privilege
                turn = run % max(1, len(chosen))
                for name in chosen[turn:] + chosen[:turn]:
                    yield Step(work.name, setting, name, run)


def suits(work: Workload, setting: str, peer: str) -> bool:
    """Whether a peer can show anything: only S3 can be made far away, only S3 can be synthetic."""
    over_s3 = PEERS[peer].storage is Storage.S3
    if work.names:
        return over_s3 and setting == "plain"
    return over_s3 or setting == "plain"


def run_all(
    environment: BenchEnvironment,
    works: dict[str, Workload],
    steps: Sequence[Step],
    results: Results,
    on_sample: Callable[[int, Sample], None],
) -> None:
    """Make all measurements; `on_sample` gets each."""
    checked = {(s.work, s.peer) for s in results.samples if not s.failure}
    for number, step in enumerate(steps):
        if _failures(results, step) >= GIVE_UP_AFTER:
            continue
        first = (step.work, step.peer) not in checked
        sample = measure(environment, works[step.work], step.setting, PEERS[step.peer], step.run, check=first)
        if not sample.failure:
            checked.add((step.work, step.peer))
        results.samples.append(sample)
        on_sample(number, sample)


def _failures(results: Results, step: Step) -> int:
    same = (step.work, step.setting, step.peer)
    return sum((s.work, s.setting, s.peer) == same for s in results.failures())
