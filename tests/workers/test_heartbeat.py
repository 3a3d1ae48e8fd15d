"""When a worker counts as hung, by the number of answers that it owes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.workers.heartbeat import Heartbeat, HeartbeatAction, HeartbeatPolicy


def policy_of(limit: float) -> HeartbeatPolicy:
    policy = HeartbeatPolicy.of(limit)
    assert policy is not None
    return policy


LIMITS = st.floats(0.1, 7200)
POLICIES = LIMITS.map(policy_of)


@pytest.mark.parametrize(
    ("limit", "interval", "misses"), [(60, 5, 12), (7, 1.75, 4), (2, 0.5, 4), (21, 4.2, 5), (3600, 5, 720)]
)
def test_a_worker_is_asked_every_five_seconds_or_more_often(limit: int, interval: float, misses: int) -> None:
    assert HeartbeatPolicy.of(limit) == HeartbeatPolicy(interval, misses)


def test_with_0_nobody_is_asked() -> None:
    assert HeartbeatPolicy.of(0) is None


@given(LIMITS)
def test_the_steps_come_one_by_one_and_the_last_at_the_limit(limit: float) -> None:
    policy, heartbeat, steps = policy_of(limit), Heartbeat(), {}
    for beat in range(policy.misses + 5):  # the first of them asks
        heartbeat = heartbeat.beat()
        if step := policy.step(heartbeat):
            steps[step] = beat * policy.interval_seconds
    assert list(steps) == [HeartbeatAction.LEAVE_OUT, HeartbeatAction.DUMP_TASKS, HeartbeatAction.KILL]
    assert steps[HeartbeatAction.LEAVE_OUT] <= min(5, limit / 4) + 1e-6
    assert steps[HeartbeatAction.DUMP_TASKS] < steps[HeartbeatAction.KILL] == pytest.approx(limit)


@given(POLICIES, st.lists(st.booleans(), max_size=100))
def test_only_beats_in_a_row_without_an_answer_count(policy: HeartbeatPolicy, answers: list[bool]) -> None:
    heartbeat, in_a_row = Heartbeat(), 0
    for answered in answers:
        heartbeat = heartbeat.beat()
        assert heartbeat.missed == in_a_row
        assert (policy.step(heartbeat) is HeartbeatAction.KILL) == (in_a_row == policy.misses)
        heartbeat, in_a_row = (Heartbeat(), 0) if answered else (heartbeat, in_a_row + 1)


@given(POLICIES)
def test_a_pause_is_one_miss_however_long_it_is(policy: HeartbeatPolicy) -> None:
    """Nobody beats meanwhile; the beat after it may come before the answer."""
    asked = Heartbeat().beat()
    assert policy.step(asked) is None
    assert policy.step(asked.beat()) is HeartbeatAction.LEAVE_OUT


def test_a_worker_is_silent_since_the_first_beat_that_it_missed() -> None:
    assert [policy_of(21).silent_seconds(Heartbeat(missed=missed)) for missed in (0, 1, 3)] == [
        0,
        4.2,
        12.6,
    ]
    assert policy_of(7).silent_seconds(Heartbeat(missed=3)) == 5.2, "5.25, rounded to a tenth"


def test_the_steps_are_the_first_miss_the_last_but_one_and_the_last() -> None:
    policy = policy_of(60)
    steps = {missed: step for missed in range(15) if (step := policy.step(Heartbeat(missed=missed)))}
    assert steps == {1: HeartbeatAction.LEAVE_OUT, 11: HeartbeatAction.DUMP_TASKS, 12: HeartbeatAction.KILL}
