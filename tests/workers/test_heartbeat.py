"""When a worker counts as hung, by the number of answers that it owes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.workers.heartbeat import Heartbeat, HeartbeatAction, HeartbeatPolicy


def patience_of(limit: float) -> HeartbeatPolicy:
    patience = HeartbeatPolicy.of(limit)
    assert patience is not None
    return patience


LIMITS = st.floats(0.1, 7200)
PATIENCES = LIMITS.map(patience_of)


@pytest.mark.parametrize(
    ("limit", "interval", "misses"), [(60, 5, 12), (7, 1.75, 4), (2, 0.5, 4), (21, 4.2, 5), (3600, 5, 720)]
)
def test_a_worker_is_asked_every_five_seconds_or_more_often(limit: int, interval: float, misses: int) -> None:
    assert HeartbeatPolicy.of(limit) == HeartbeatPolicy(interval, misses)


def test_with_0_nobody_is_asked() -> None:
    assert HeartbeatPolicy.of(0) is None


@given(LIMITS)
def test_the_steps_come_one_by_one_and_the_last_at_the_limit(limit: float) -> None:
    patience, pulse, steps = patience_of(limit), Heartbeat(), {}
    for beat in range(patience.misses + 5):  # the first of them asks
        pulse = pulse.beat()
        if step := patience.step(pulse):
            steps[step] = beat * patience.interval_seconds
    assert list(steps) == [HeartbeatAction.LEAVE_OUT, HeartbeatAction.ASK_WHY, HeartbeatAction.KILL]
    assert steps[HeartbeatAction.LEAVE_OUT] <= min(5, limit / 4) + 1e-6
    assert steps[HeartbeatAction.ASK_WHY] < steps[HeartbeatAction.KILL] == pytest.approx(limit)


@given(PATIENCES, st.lists(st.booleans(), max_size=100))
def test_only_beats_in_a_row_without_an_answer_count(patience: HeartbeatPolicy, answers: list[bool]) -> None:
    pulse, in_a_row = Heartbeat(), 0
    for answered in answers:
        pulse = pulse.beat()
        assert pulse.missed == in_a_row
        assert (patience.step(pulse) is HeartbeatAction.KILL) == (in_a_row == patience.misses)
        pulse, in_a_row = (Heartbeat(), 0) if answered else (pulse, in_a_row + 1)


@given(PATIENCES)
def test_a_pause_is_one_miss_however_long_it_is(patience: HeartbeatPolicy) -> None:
    """Nobody beats meanwhile; the beat after it may come before the answer."""
    asked = Heartbeat().beat()
    assert patience.step(asked) is None
    assert patience.step(asked.beat()) is HeartbeatAction.LEAVE_OUT


def test_a_worker_is_silent_since_the_first_beat_that_it_missed() -> None:
    assert [patience_of(21).silent_seconds(Heartbeat(missed=missed)) for missed in (0, 1, 3)] == [
        0,
        4.2,
        12.6,
    ]
    assert patience_of(7).silent_seconds(Heartbeat(missed=3)) == 5.2, "5.25, told to a tenth"


def test_the_steps_are_the_first_miss_the_last_but_one_and_the_last() -> None:
    patience = patience_of(60)
    steps = {missed: step for missed in range(15) if (step := patience.step(Heartbeat(missed=missed)))}
    assert steps == {1: HeartbeatAction.LEAVE_OUT, 11: HeartbeatAction.ASK_WHY, 12: HeartbeatAction.KILL}
