"""For how long an instance has given no sign of life, by what listings show of it."""

from __future__ import annotations

from s3sftp.backends.s3.recovery.liveness import Liveness

LEASE, RENEWED, CLAIM = ("lease", "1", "t"), ("lease", "2", "t"), ("claim", "1", "t")


def test_silence_lasts_from_the_answer_that_showed_the_last_sign_to_the_next_question() -> None:
    silence = Liveness()
    assert silence.of({"i": {LEASE}}, asked=10, answered=12) == {"i": 0}
    assert silence.of({"i": {LEASE}}, asked=15, answered=17) == {"i": 3}
    assert silence.of({"i": {LEASE}}, asked=100, answered=101) == {"i": 88}
    assert silence.of({"i": {RENEWED}}, asked=110, answered=111) == {"i": 0}
    assert silence.of({"i": {RENEWED}}, asked=112, answered=113) == {"i": 1}


def test_an_object_more_is_a_sign_and_one_less_is_none() -> None:
    silence = Liveness()
    silence.of({"i": {LEASE, CLAIM}}, asked=0, answered=1)
    assert silence.of({"i": {LEASE}}, asked=5, answered=6) == {"i": 4}
    assert silence.of({"i": {LEASE, CLAIM}}, asked=8, answered=9) == {"i": 7}, "seen before"
    assert silence.of({"i": {LEASE, CLAIM, RENEWED}}, asked=10, answered=11) == {"i": 0}


def test_each_instance_counts_for_itself_and_one_that_is_gone_is_forgotten() -> None:
    silence = Liveness()
    silence.of({"i": {LEASE}, "j": {LEASE}}, asked=0, answered=1)
    assert silence.of({"i": {RENEWED}, "j": {LEASE}}, asked=5, answered=6) == {"i": 0, "j": 4}
    assert silence.of({"i": {RENEWED}}, asked=7, answered=8) == {"i": 1}
    assert len(silence) == 1
    assert silence.of({"i": {RENEWED}, "j": {LEASE}}, asked=9, answered=10) == {"i": 3, "j": 0}
