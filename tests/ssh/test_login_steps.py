"""What a connection has proven, whatever it tries in whatever order. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sftp.auth import Factor, Identity, LoginMethods
from s3sftp.auth.login_methods import login_methods
from s3sftp.ssh.login_steps import LoginStep, LoginSteps

FACTORS: Sequence[Factor] = ("publickey", "password", "totp")
COMBINATIONS = [
    ("publickey",),
    ("password",),
    ("publickey", "password"),
    ("publickey", "totp"),
    ("password", "totp"),
]
COMBINATIONS += [("publickey", "password", "totp"), ("password", "publickey")]


def _usable(combinations: list[tuple[Factor, ...]]) -> LoginMethods | None:
    try:
        return login_methods("+".join(each) for each in combinations)
    except ValueError:
        return None


METHODS = st.lists(st.sampled_from(COMBINATIONS), min_size=1, max_size=3).map(_usable)  # type: ignore[arg-type]
TRIES = st.lists(st.tuples(st.sampled_from(["alice", "bob"]), st.sampled_from(FACTORS)), max_size=12)


@given(METHODS.filter(bool), TRIES)
def test_a_login_is_complete_exactly_when_a_combination_is_proven_in_its_order(
    methods: LoginMethods, tries: list[tuple[str, Factor]]
) -> None:
    steps = LoginSteps()
    user, proven = "", ()
    for name, factor in tries:
        if steps.are_complete:
            return
        if name != user:
            user, proven = name, ()
        longer = (*proven, factor)
        fits = any(each[: len(longer)] == longer for each in methods.combinations)
        assert steps.prove(name, Identity(name, login_methods=methods), LoginStep(factor, factor)) == fits
        proven = longer if fits else proven
        assert steps.proven == proven
        assert steps.are_complete == (proven in methods.combinations)


@given(METHODS.filter(bool), TRIES)
def test_what_may_come_next_is_what_can_be_proven_next(
    methods: LoginMethods, tries: list[tuple[str, Factor]]
) -> None:
    for factor in FACTORS:
        steps = LoginSteps()
        steps.begin("alice")
        for name, tried in tries:
            steps.prove(name, Identity(name, login_methods=methods), LoginStep(tried, tried))
        steps.begin("alice")
        before = steps.proven
        may = steps.may_try(factor)
        proves = steps.prove("alice", Identity("alice", login_methods=methods), LoginStep(factor, factor))
        assert may == (proves if before else True)


def test_the_first_list_is_the_same_whatever_a_user_needs() -> None:
    steps = LoginSteps()
    steps.begin("alice")
    assert steps.next_factors is None
    assert all(steps.may_try(factor) for factor in FACTORS)


def test_another_identity_behind_the_same_name_begins_anew() -> None:
    steps, both = LoginSteps(), login_methods(["publickey+password"])
    assert steps.prove("alice", Identity("alice", login_methods=both), LoginStep("publickey", "publickey"))
    assert not steps.prove("alice", Identity("other", login_methods=both), LoginStep("password", "password"))
    assert steps.proven == ()


def test_a_factor_that_another_source_has_proven_does_not_count() -> None:
    steps, both = LoginSteps(), login_methods(["publickey+password"])
    earlier = Identity("alice", login_methods=both, origin="dynamodb 1")
    later = Identity("alice", login_methods=both, origin="the configuration 1")
    assert steps.prove("alice", earlier, LoginStep("publickey", "publickey"))
    assert not steps.prove("alice", later, LoginStep("password", "password"))
    assert steps.proven == ()


def test_a_user_whose_methods_have_changed_proves_what_is_needed_now() -> None:
    steps = LoginSteps()
    both, key = login_methods(["publickey+password"]), login_methods(["publickey"])
    assert steps.prove("alice", Identity("alice", login_methods=both), LoginStep("publickey", "publickey"))
    assert not steps.prove("alice", Identity("alice", login_methods=key), LoginStep("password", "password"))
    assert not steps.are_complete


def test_two_names_of_one_user_do_not_complete_each_other_s_login() -> None:
    steps, both = LoginSteps(), login_methods(["publickey+password"])
    identity = Identity("alice", login_methods=both)
    assert steps.prove("alias", identity, LoginStep("publickey", "publickey"))
    assert not steps.prove("other alias", identity, LoginStep("password", "password"))
    assert steps.proven == ()


def test_without_any_combination_there_are_no_methods() -> None:
    with pytest.raises(ValueError, match="at least one"):
        login_methods([])
