"""Decides whether a server is alive and ready, with the reasons if not. Pure: facts in, report out.

alive    would a restart help? Only if the server cannot recover by itself.
ready    would a client that connects now be served?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto


class Phase(Enum):
    """A server's phase between its start and its end."""

    STARTING = auto()
    """The port is not open yet."""
    SERVING = auto()
    DRAINING = auto()
    """It has been asked to stop."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """The state of one of several workers."""

    number: int
    ready: bool
    """It has reported that it accepts connections, and has not ended since."""
    silent_seconds: float = 0.0
    """Seconds for which it has owed the supervisor an answer."""

    @property
    def serves(self) -> bool:
        """Whether it is given connections."""
        return self.ready and not self.silent_seconds


@dataclass(frozen=True, slots=True)
class HealthFacts:
    """What a server knows about itself."""

    phase: Phase
    workers: Sequence[WorkerState] = ()
    """Empty if there is only one process, which serves as long as it answers at all."""
    unserved_seconds: float = 0.0
    """Seconds for which no worker has served."""
    replacing_seconds: float | None = None
    """Seconds that replacing hung workers may take; None if they are never replaced."""
    denied: Sequence[str] = ()
    """What the storage refuses, apparently for lack of a permission: one sentence each."""
    hook_down: str = ""
    """Why users of the hook cannot log in; empty if they can, or if there is no hook."""
    has_users: bool = False
    """There are users in the configuration, who can log in without another source of users."""
    aws_users_down: Sequence[str] = ()
    """Why users in AWS cannot log in: one sentence for each service that does not answer."""
    shared_state_down: str = ""
    """Why replicas may know of different bans; empty if they do not, or if they share nothing."""
    sinks_failing: Sequence[str] = ()
    """Which sinks of events have failed for long: one sentence for each type."""


@dataclass(frozen=True, slots=True)
class HealthReason:
    """A reason why a server is not healthy, or a warning."""

    name: str
    """For machines; one of a few."""
    detail: str
    """For operators: what, where, and what to do."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The result: healthy if there are no reasons against it."""

    reasons: tuple[HealthReason, ...] = ()
    warnings: tuple[HealthReason, ...] = ()
    """What an operator should look into, although the server is healthy."""

    @property
    def is_good(self) -> bool:
        return not self.reasons


def alive(facts: HealthFacts) -> HealthReport:
    """Whether event loops run. The supervisor replaces a single worker that hangs, which harms fewer clients
    than a restart of all. So the only reason against is that no worker has served for longer than replacing
    takes."""
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


def ready(facts: HealthFacts, storage: str, revocations: str = "") -> HealthReport:
    """Whether a client would be served. The first line of `storage` is the failure of the storage without a
    name, or empty; further lines are those of others, which concern only users with mounts there.
    `revocations` says why nobody can log in by key, or is empty."""
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
    if facts.hook_down:
        (warnings if facts.has_users else reasons).append(HealthReason("hook_down", facts.hook_down))
    for trouble in facts.aws_users_down:
        (warnings if facts.has_users else reasons).append(HealthReason("aws_users_down", trouble))
    if facts.shared_state_down:
        warnings.append(HealthReason("shared_state_down", facts.shared_state_down))
    warnings += [HealthReason("event_sink_failing", failing) for failing in facts.sinks_failing]
    first, *others = storage.split("\n")
    if first:
        reasons.append(HealthReason("storage_unreachable", first))
    warnings += [HealthReason("storage_unreachable", other) for other in others]
    if revocations:
        detail = f"{revocations}: no key and no certificate opens an account until it can be used"
        reasons.append(HealthReason("revocations_unusable", detail))
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
