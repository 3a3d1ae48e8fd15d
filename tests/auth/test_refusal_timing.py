"""A refusal takes as long as the slowest answer lately, in whole steps."""

from __future__ import annotations

from s3sftp.auth.refusal_timing import RefusalTiming


def test_refusals_take_one_step_while_answers_are_faster() -> None:
    evenness = RefusalTiming(0.25)
    assert evenness.refusal_seconds == 0.25
    for number in range(100):
        evenness.took(number / 1000, now=number)
        assert evenness.refusal_seconds == 0.25


def test_one_slow_answer_moves_all_refusals_behind_it() -> None:
    evenness = RefusalTiming(0.25)
    evenness.took(0.6, now=0)
    evenness.took(0.0, now=1)
    assert evenness.refusal_seconds == 0.75


def test_a_slow_answer_is_forgotten_after_ten_to_twenty_minutes() -> None:
    evenness = RefusalTiming(0.25)
    evenness.took(0.0, now=0)
    evenness.took(9.9, now=599)
    evenness.took(0.0, now=700)
    assert evenness.refusal_seconds == 10.0
    evenness.took(0.0, now=1301)
    assert evenness.refusal_seconds == 0.25
    evenness.took(9.9, now=1400)
    evenness.took(0.0, now=9000)
    assert evenness.refusal_seconds == 0.25


def test_a_step_of_0_waits_for_nothing() -> None:
    evenness = RefusalTiming(0)
    evenness.took(0.6, now=0)
    assert evenness.refusal_seconds == 0
