"""Whether a server is alive and ready, and each reason why not. Pure: facts in, answer out.

alive    would a restart help? Only where the server cannot help itself.
ready    would a client that connects now be served?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto


class Phase(Enum):
    """Where a server is between its start and its end."""

    STARTING = auto()
    """The port is not open yet."""
    SERVING = auto()
    DRAINING = auto()
    """It has been told to stop."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One of several workers."""

    number: int
    ready: bool
    """It has said that connections may come, and has not ended since."""
    silent_seconds: float = 0.0
    """For how long it has owed the supervisor an answer."""

    @property
    def serves(self) -> bool:
        """Whether it is given connections."""
        return self.ready and not self.silent_seconds


@dataclass(frozen=True, slots=True)
class HealthFacts:
    """What a server knows of itself."""

    phase: Phase
    workers: Sequence[WorkerState] = ()
    """None where there is one process alone, which serves while it answers at all."""
    unserved_seconds: float = 0.0
    """For how long no worker has served."""
    replacing_seconds: float | None = None
    """How long it may take until workers that hang are replaced; None: they never are."""
    denied: Sequence[str] = ()
    """What the storage refuses, as it seems for want of a permission, each in a sentence."""


@dataclass(frozen=True, slots=True)
class HealthReason:
    """Something that is not as it should be."""

    name: str
    """For machines; one of a few."""
    detail: str
    """For operators: what, where, and what to do."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """What is said: good as long as there is no reason against it."""

    reasons: tuple[HealthReason, ...] = ()
    warnings: tuple[HealthReason, ...] = ()
    """What somebody should look at, although the answer is good."""

    @property
    def is_good(self) -> bool:
        return not self.reasons


def alive(facts: HealthFacts) -> HealthReport:
    """Whether event loops turn. One worker that hangs is replaced by the supervisor, which hurts fewer than a
    restart of all: a reason against is only that none has served for longer than replacing takes."""
    silent = tuple(
        HealthReason(
            "worker_hangs",
            f"worker {worker.number} has not answered for {worker.silent_seconds:.0f} s:"
            f" it gets no connections until it does{_ending(facts.replacing_seconds)}",
        )
        for worker in facts.workers
        if worker.ready and worker.silent_seconds
    )
    limit = facts.replacing_seconds
    if facts.phase is Phase.DRAINING or limit is None or facts.unserved_seconds <= limit:
        return HealthReport(warnings=silent)
    since = f"no worker has served for {facts.unserved_seconds:.0f} s"
    if not silent:
        silent = (HealthReason("no_worker_ready", f"{since}: {_how_they_are(facts)}; the log says why"),)
    return HealthReport(reasons=silent)


def ready(facts: HealthFacts, storage: str) -> HealthReport:
    """Whether a client would be served; `storage` is what the storage said, if that was no."""
    match facts.phase:
        case Phase.STARTING:
            return HealthReport((HealthReason("starting", "the server has not opened its port yet"),))
        case Phase.DRAINING:
            return HealthReport(
                (HealthReason("draining", "the server was told to stop: transfers may finish"),)
            )
    reasons, warnings = [], []
    if facts.workers:
        serving = sum(worker.serves for worker in facts.workers)
        if not serving:
            reasons.append(HealthReason("no_worker_ready", f"{_how_they_are(facts)}; connections wait"))
        elif serving < len(facts.workers):
            warnings.append(HealthReason("workers_missing", _how_they_are(facts)))
    warnings += [HealthReason("permission_denied", denied) for denied in facts.denied]
    if storage:
        reasons.append(HealthReason("storage_unreachable", storage))
    return HealthReport(tuple(reasons), tuple(warnings))


def _ending(seconds: float | None) -> str:
    return "" if seconds is None else ", and is killed and replaced after server.worker_timeout"


def _how_they_are(facts: HealthFacts) -> str:
    serving = sum(worker.serves for worker in facts.workers)
    hanging = [str(worker.number) for worker in facts.workers if worker.ready and not worker.serves]
    starting = [str(worker.number) for worker in facts.workers if not worker.ready]
    parts = [f"{serving} of {len(facts.workers)} workers serve"]
    if hanging:
        parts.append(f"worker {', '.join(hanging)} does not answer")
    if starting:
        parts.append(f"worker {', '.join(starting)} is starting, or has ended and is started again")
    return "; ".join(parts)
