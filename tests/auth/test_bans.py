"""Bans: who offends too often is out for a while, longer each time, and what is remembered stays small."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.auth import Ban, BanPolicy, Bans, TooManyBans, source_of


def policy(threshold: int = 3, max_sources: int = 100, **other: float) -> BanPolicy:
    times = {"window_seconds": 60.0, "first_seconds": 600.0, "max_seconds": 4000.0, "memory_seconds": 5000.0}
    points = int(other.pop("other_name_points", 0))
    return BanPolicy(threshold, **(times | other), other_name_points=points, max_sources=max_sources)


def bans(threshold: int = 3, max_sources: int = 100, **other: float) -> Bans:
    return Bans(policy(threshold, max_sources, **other))


def fail(table: Bans, source: str, now: float, name: str = "") -> Ban | None:
    return table.count(source, "password", 1, now, name)


def ban(table: Bans, source: str, now: float, offences: int = 3) -> Ban:
    """Have a source offend until it is banned."""
    found = [fail(table, source, now) for _ in range(offences)]
    assert found[:-1] == [None] * (offences - 1)
    assert found[-1] is not None
    return found[-1]


def test_enough_offences_within_the_window_ban_their_source_and_no_other() -> None:
    table = bans()
    assert [fail(table, "a", now) is not None for now in (0, 1, 2)] == [False, False, True]
    assert table.banned("a", 3)
    assert not table.banned("b", 3)


def test_a_ban_ends() -> None:
    table = bans()
    ban(table, "a", 2)
    assert table.banned("a", 601)
    assert not table.banned("a", 602)
    assert fail(table, "a", 602) is None  # and counting starts anew


def test_who_is_banned_is_not_counted_on() -> None:
    table = bans()
    ban(table, "a", 2)
    for now in range(3, 500):
        assert fail(table, "a", now) is None
    assert not table.banned("a", 602)


def test_old_offences_do_not_count() -> None:
    table = bans()
    assert not any(fail(table, "a", now) for now in (0, 31, 62, 93, 124, 155))


def test_an_offence_counts_until_the_window_has_passed() -> None:
    for last, is_banned in ((59, True), (60, False)):
        table = bans(threshold=2)
        fail(table, "a", 0)
        assert (fail(table, "a", last) is not None) is is_banned


def test_offences_weigh_by_their_points_and_the_heaviest_kind_is_the_reason() -> None:
    table = bans(threshold=6)
    assert table.count("a", "password", 1, 0) is None
    assert table.count("a", "password", 1, 1) is None
    assert table.count("a", "protocol", 3, 2) is None
    assert table.count("a", "no_login", 0, 3) is None
    caused = table.count("a", "password", 2, 4)
    assert caused == Ban("a", "password", score=7, offences=4, number=1, seconds=600, until=604)
    assert caused.remaining(5) == 599


def test_offences_without_points_never_ban() -> None:
    table = bans(threshold=1)
    assert not any(table.count("a", "no_login", 0, now) for now in range(10))
    assert len(table) == 0


def test_another_user_name_weighs_more_and_the_same_again_does_not() -> None:
    table = bans(threshold=6, other_name_points=2)
    for now, name in enumerate(("alice", "alice", "")):
        assert fail(table, "a", now, name) is None
    caused = fail(table, "a", 3, "bob")
    assert caused is not None
    assert caused.score == 6


def test_a_name_is_another_again_when_the_window_has_passed() -> None:
    table = bans(threshold=5, other_name_points=1)
    fail(table, "a", 0, "alice")
    fail(table, "a", 30, "bob")  # 3 points with alice's
    fail(table, "a", 59, "bob")  # 4
    assert fail(table, "a", 61, "alice") is not None  # bob's 3, and 2: alice's first is forgotten
    table = bans(threshold=5, other_name_points=1)
    for now in (0, 30):
        fail(table, "a", now, "alice")
    fail(table, "a", 61, "bob")
    assert fail(table, "a", 62, "alice") is None  # 1 + 2 + 1: her second attempt has not been forgotten


def test_names_do_not_matter_between_sources() -> None:
    table = bans(threshold=2, other_name_points=1)
    fail(table, "a", 0, "alice")
    assert fail(table, "b", 0, "bob") is None


def test_each_further_ban_lasts_twice_as_long_up_to_the_limit() -> None:
    table = bans()
    now = 0.0
    for number, seconds in enumerate((600, 1200, 2400, 4000, 4000), 1):
        caused = ban(table, "a", now)
        assert (caused.number, caused.seconds) == (number, seconds)
        assert table.banned("a", now + seconds - 1)
        now += seconds
        assert not table.banned("a", now)
    assert ban(table, "b", now).seconds == 600


def test_a_ban_is_the_first_again_after_the_memory_time() -> None:
    for pause, number in ((4999, 2), (5000, 1)):
        table = bans()
        ends = ban(table, "a", 0).until
        assert ban(table, "a", ends + pause).number == number


def test_a_limit_below_the_first_duration_means_that_bans_do_not_grow() -> None:
    assert [policy(max_seconds=1).ban_seconds(number) for number in (1, 2, 10)] == [600, 600, 600]


@given(st.integers(1, 100_000), st.floats(0, 1e8), st.floats(0, 1e8))
def test_no_ban_exceeds_the_limit_however_often_it_grows(number: int, first: float, most: float) -> None:
    grown = policy(first_seconds=first, max_seconds=most)
    assert first <= grown.ban_seconds(number) <= max(first, most)
    assert grown.ban_seconds(number) <= grown.ban_seconds(number + 1)


def test_a_threshold_of_zero_turns_counting_off_but_not_the_operators_bans() -> None:
    table = bans(threshold=0)
    assert not any(fail(table, "a", now) for now in range(100))
    assert len(table) == 0
    table.add("a", "operator", 10, 0)
    assert table.banned("a", 1)


def test_the_operator_bans_and_lifts() -> None:
    table = bans()
    added = table.add("a", "operator", 10, 5)
    assert added == Ban("a", "operator", score=0, offences=0, number=1, seconds=10, until=15)
    assert table.active(14) == [added]
    assert table.active(15) == []
    assert not table.banned("a", 15)
    added = table.add("a", "operator", 10, 20)
    assert table.lift("a", 21) == [added]
    assert not table.banned("a", 21)
    assert table.lift("a", 22) == []


def test_the_operators_ban_outlives_a_shorter_one_that_was_earned() -> None:
    table = bans()
    earned = ban(table, "a", 0)
    added = table.add("a", "operator", 5000, 1)
    assert table.active(2) == [earned, added]
    assert table.banned("a", 700)
    assert table.active(700) == [added]
    assert table.lift("a", 701) == [added]


def test_a_lifted_ban_is_forgiven() -> None:
    table = bans()
    caused = ban(table, "a", 0)
    assert table.lift("a", 1) == [caused]
    assert fail(table, "a", 2) is None
    assert fail(table, "a", 2) is None
    again = fail(table, "a", 2)
    assert again is not None
    assert (again.number, again.seconds) == (1, 600)


def test_lifting_forgets_points_too() -> None:
    table = bans()
    fail(table, "a", 0)
    fail(table, "a", 0)
    assert table.lift("a", 1) == []
    assert fail(table, "a", 2) is None


def test_the_operator_may_ban_as_many_as_are_remembered_and_bans_that_ended_make_room() -> None:
    table = bans(max_sources=2)
    table.add("a", "operator", 10, 0)
    table.add("b", "operator", 20, 0)
    table.add("b", "operator", 30, 0)
    with pytest.raises(TooManyBans, match="2 sources are banned already: lift a ban first"):
        table.add("c", "operator", 10, 9)
    table.add("c", "operator", 10, 10)
    assert [table.banned(source, 11) for source in "abc"] == [False, True, True]


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 50)), max_size=200), st.integers(1, 3))
def test_what_is_remembered_never_grows_beyond_its_limit(
    events: list[tuple[int, float]], threshold: int
) -> None:
    table = bans(threshold, max_sources=10)
    now = 0.0
    for source, pause in events:
        now += pause
        fail(table, str(source), now, str(now))
        assert len(table) <= 10


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 40), st.integers(0, 3)), max_size=100))
def test_a_source_is_banned_exactly_when_its_points_in_the_window_reach_the_threshold(
    events: list[tuple[int, float, int]],
) -> None:
    table = bans(threshold=5)
    history: dict[int, list[tuple[float, int]]] = {}
    until: dict[int, float] = {}
    now = 0.0
    for source, pause, points in events:
        now += pause
        caused = table.count(str(source), "password", points, now)
        if now < until.get(source, 0):
            assert caused is None
            continue
        history.setdefault(source, []).append((now, points))
        score = sum(points for at, points in history[source] if at > now - 60)
        assert (caused is not None) is (score >= 5 and points > 0)
        if caused is not None:
            history[source].clear()
            until[source] = caused.until
            assert caused.score == score
        assert table.banned(str(source), now) is (now < until.get(source, 0))


def test_a_flood_of_sources_does_not_wash_a_ban_away() -> None:
    table = bans(max_sources=100)
    ban(table, "attacker", 0)
    for number in range(1000):
        fail(table, f"flood {number}", 1)
    assert table.banned("attacker", 2)


def test_a_flood_of_bans_does_not_wash_the_operators_away() -> None:
    table = bans(threshold=1, max_sources=100)
    table.add("attacker", "operator", 10, 0)
    for number in range(1000):
        fail(table, f"flood {number}", 1)
    assert table.banned("attacker", 2)


def test_a_full_list_forgets_the_source_that_was_quiet_for_longest_and_no_more() -> None:
    table = bans(max_sources=3)
    for now, source in enumerate(("a", "b", "c", "a", "b")):
        fail(table, source, now)
    assert len(table) == 3
    fail(table, "d", 5)  # takes the place of c
    assert len(table) == 3
    assert fail(table, "a", 6)
    assert fail(table, "b", 7)
    assert [fail(table, "c", now) is not None for now in (8, 9, 10)] == [False, False, True]


def test_as_many_bans_as_are_remembered_do_not_keep_others_from_being_counted() -> None:
    table = bans(threshold=2, max_sources=3)
    for source in "abc":
        ban(table, source, 0, offences=2)
    ban(table, "d", 1, offences=2)
    assert [table.banned(source, 2) for source in "abcd"] == [False, True, True, True]


def test_the_number_of_bans_of_a_source_is_forgotten_last_for_the_one_banned_last() -> None:
    table = bans(threshold=1, max_sources=2)
    for source in "aba":
        table.lift("b", 0)
        fail(table, source, 0)
    ends = 700.0
    fail(table, "b", ends)
    again = fail(table, "a", ends)
    assert again is not None
    assert again.number == 2


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_a_source_is_an_address_or_the_network_that_a_customer_is_given(
    one: str, other: str, same: bool
) -> None:
    assert (source_of(one) == source_of(other)) is same


def test_a_name_is_forgotten_with_its_last_offence() -> None:
    table = bans(threshold=2, other_name_points=1)
    fail(table, "a", 0, "alice")
    assert fail(table, "a", 60, "bob") is None


def test_what_no_longer_matters_is_forgotten_when_another_source_offends() -> None:
    table = bans(threshold=2)
    for number in range(50):
        fail(table, f"scanner {number}", number / 10)
    fail(table, "later", 70)
    assert len(table) == 1
    for number in range(50):
        ban(table, f"attacker {number}", 70, offences=2)
    assert len(table) == 50
    ban(table, "last", 70 + 600 + 5000, offences=2)
    assert len(table) == 1


def test_an_offence_that_concerns_no_name_weighs_no_more() -> None:
    table = bans(threshold=3, other_name_points=1)
    fail(table, "a", 0, "alice")
    assert table.count("a", "protocol", 1, 1) is None


def test_a_ban_that_has_ended_is_not_lifted() -> None:
    table = bans()
    assert table.lift("a", ban(table, "a", 0).until) == []


def test_bans_of_the_operator_and_earlier_bans_are_remembered() -> None:
    table = bans()
    table.add("a", "operator", 10, 0)
    assert len(table) == 1
    table = bans()
    assert not table.banned("a", ban(table, "a", 0).until)
    assert len(table) == 1


def test_a_name_is_remembered_as_long_as_one_of_its_offences_counts() -> None:
    table = bans(other_name_points=1)
    for now in (0, 30):
        fail(table, "a", now, "alice")
    assert fail(table, "a", 61, "bob") is not None  # 1 of alice's and 2 of bob's


def test_offences_of_one_name_at_one_moment_are_forgotten_together() -> None:
    table = bans(threshold=4)
    for _ in range(3):
        fail(table, "a", 0, "alice")
    assert [fail(table, "a", 60, "alice") is None for _ in range(4)] == [True, True, True, False]


def test_an_offence_is_forgotten_at_the_end_of_its_window_also_when_another_source_offends() -> None:
    table = bans()
    fail(table, "a", 0)
    fail(table, "b", 60)
    assert len(table) == 1


def test_a_ban_that_ends_is_forgotten_when_another_source_is_banned() -> None:
    table = bans(memory_seconds=0.0)
    ends = ban(table, "a", 0).until
    ban(table, "b", ends)
    assert len(table) == 1


def test_points_of_all_replicas_ban_nobody_who_has_not_offended_here_within_the_window() -> None:
    table = bans()
    fail(table, "a", 0)
    assert table.reached("a", 3, 60) is None
    fail(table, "a", 61)
    reached = table.reached("a", 3, 120)
    assert reached is not None
    assert (reached.score, reached.offences) == (3, 1)


def test_points_of_all_replicas_ban_a_source_once_they_reach_the_threshold() -> None:
    table = bans(threshold=5)
    assert table.reached("a", 5, 0) is None  # it has done nothing here
    table.count("a", "password", 1, 0)
    table.count("a", "protocol", 2, 1)
    assert table.reached("a", 4, 2) is None
    caused = table.reached("a", 5, 2)
    assert caused == Ban("a", "protocol", score=5, offences=2, number=1, seconds=600, until=602)
    assert table.banned("a", 3)
    assert table.reached("a", 5, 3) is None


def test_points_of_all_replicas_do_not_ban_a_source_that_the_operator_has_banned() -> None:
    table = bans()
    fail(table, "a", 0)
    added = table.add("a", "operator", 10, 1)
    assert table.reached("a", 3, 2) is None
    assert table.active(2) == [added]
    assert table.reached("a", 3, 11) is not None


def test_the_score_of_a_source_has_its_points_within_the_window() -> None:
    table = bans(threshold=10)
    assert table.score("a", 0) == 0
    table.count("a", "password", 2, 0)
    table.count("a", "protocol", 3, 30)
    fail(table, "b", 30)
    assert [table.score("a", now) for now in (30, 59, 60, 89, 90)] == [5, 5, 3, 3, 0]


def of_another_replica(source: str, until: float, number: int = 1) -> Ban:
    return Ban(source, "password", 3, 3, number, 600, until, replica="other")


def test_a_ban_of_another_replica_holds_here_until_its_end() -> None:
    table = bans()
    adopted = of_another_replica("a", until=100)
    assert table.adopt(adopted, 0, by_operator=False)
    assert table.active(1) == [adopted]
    assert [table.banned("a", now) for now in (99, 100)] == [True, False]
    assert not table.banned("b", 1)


@pytest.mark.parametrize("by_operator", [False, True])
def test_a_ban_of_another_replica_replaces_what_is_known_of_the_source(by_operator: bool) -> None:
    table = bans(max_sources=1)
    for until in (100, 300, 200):
        assert table.adopt(of_another_replica("a", until), 0, by_operator=by_operator)
    assert table.active(0) == [of_another_replica("a", 200)]


def test_a_ban_of_another_replica_counts_for_the_next_one_even_if_it_has_ended() -> None:
    table = bans()
    assert not table.adopt(of_another_replica("a", until=100, number=2), 100, by_operator=False)
    assert not table.banned("a", 100)
    caused = ban(table, "a", 101)
    assert (caused.number, caused.seconds) == (3, 2400)


def test_points_are_forgotten_where_another_replica_has_banned_for_them() -> None:
    table = bans()
    fail(table, "a", 0)
    fail(table, "b", 0)
    table.adopt(of_another_replica("a", until=10), 1, by_operator=False)
    assert [table.score(source, 10) for source in "ab"] == [0, 1]


def test_an_operator_s_ban_of_another_replica_is_no_earlier_ban_and_forgives_no_points() -> None:
    table = bans()
    fail(table, "a", 0)
    adopted = Ban("a", "operator", 0, 0, 1, 10, 10, replica="other")
    assert table.adopt(adopted, 1, by_operator=True)
    assert (table.active(1), table.score("a", 1)) == ([adopted], 1)
    assert fail(table, "a", 11) is None
    caused = fail(table, "a", 12)
    assert caused is not None
    assert caused.number == 1


def test_an_operator_s_ban_of_another_replica_that_has_ended_is_not_taken_over() -> None:
    table = bans(max_sources=1)
    assert not table.adopt(of_another_replica("a", until=10), 10, by_operator=True)
    table.add("b", "operator", 10, 0)  # there is still room


def test_operators_bans_of_other_replicas_take_no_more_room_than_there_is() -> None:
    table = bans(max_sources=2)
    adopted = [table.adopt(of_another_replica(source, until=100), 0, by_operator=True) for source in "abc"]
    assert adopted == [True, True, False]
    assert [table.banned(source, 1) for source in "abc"] == [True, True, False]


def test_bans_of_other_replicas_take_no_more_room_than_there_is_and_the_oldest_make_it() -> None:
    table = bans(max_sources=2)
    for source in "abc":
        assert table.adopt(of_another_replica(source, until=100, number=4), 0, by_operator=False)
    assert [table.banned(source, 1) for source in "abc"] == [False, True, True]
    assert len(table) == 2
    assert [ban(table, source, 200).number for source in "ca"] == [5, 1]


def test_a_ban_that_another_replica_has_lifted_is_forgiven() -> None:
    table = bans()
    caused = ban(table, "a", 0)
    assert table.end("a", 1, by_operator=False) == caused
    assert not table.banned("a", 1)
    assert ban(table, "a", 2).number == 1


def test_points_are_forgotten_where_another_replica_lifts_a_ban() -> None:
    table = bans()
    fail(table, "a", 0)
    assert table.end("a", 1, by_operator=False) is None
    assert table.score("a", 1) == 0


def test_of_a_source_that_is_banned_twice_another_replica_lifts_one_ban() -> None:
    def banned_twice() -> tuple[Bans, Ban, Ban]:
        table = bans()
        return table, ban(table, "a", 0), table.add("a", "operator", 50, 0)

    table, earned, added = banned_twice()
    assert table.end("a", 1, by_operator=True) == added
    assert table.active(1) == [earned]
    table, earned, added = banned_twice()
    assert table.end("a", 1, by_operator=False) == earned
    assert table.active(1) == [added]
    table, earned, added = banned_twice()
    table.end("a", 1, by_operator=True)
    table.end("a", 1, by_operator=False)
    assert ban(table, "a", 2).number == 1


def test_an_operator_s_ban_that_another_replica_lifts_forgives_nothing_else() -> None:
    table = bans()
    earned = ban(table, "a", 0)
    ends = earned.until
    fail(table, "a", ends)
    table.add("a", "operator", 50, ends)
    table.end("a", ends + 1, by_operator=True)
    assert table.score("a", ends + 1) == 1
    assert ban(table, "a", ends + 2, offences=2).number == 2


@pytest.mark.parametrize("by_operator", [False, True])
def test_only_a_ban_in_force_can_be_lifted_by_another_replica(by_operator: bool) -> None:
    table = bans()
    adopted = of_another_replica("a", until=100)
    assert table.end("a", 0, by_operator=by_operator) is None
    for now, expected in ((99, adopted), (100, None)):
        table.adopt(adopted, 0, by_operator=by_operator)
        assert table.end("a", now, by_operator=by_operator) == expected
