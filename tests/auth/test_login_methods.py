"""The factors that a login has to prove: what is enough, what follows, how operators write them. Pure."""

from __future__ import annotations

import re

import pytest

from s3sftp.auth.login_methods import LoginMethods, login_methods

KEY_THEN_PASSWORD = login_methods(["publickey+password"])
EITHER_THEN_CODE = login_methods(["publickey+totp", "password+totp"])


def test_by_default_a_key_or_a_password_is_enough_and_nothing_else() -> None:
    methods = LoginMethods()
    assert methods.suffice(("publickey",))
    assert methods.suffice(("password",))
    assert not methods.suffice(())
    assert not methods.suffice(("totp",))
    assert not methods.suffice(("publickey", "password"))
    assert not methods.has_steps


def test_a_combination_is_proven_by_all_of_its_factors_in_their_order() -> None:
    assert KEY_THEN_PASSWORD.suffice(("publickey", "password"))
    for proven in ((), ("publickey",), ("password",), ("password", "publickey")):
        assert not KEY_THEN_PASSWORD.suffice(proven)
    assert KEY_THEN_PASSWORD.has_steps


def test_a_factor_may_be_tried_only_when_those_before_it_are_proven() -> None:
    assert KEY_THEN_PASSWORD.next_after(()) == {"publickey"}
    assert KEY_THEN_PASSWORD.next_after(("publickey",)) == {"password"}
    assert KEY_THEN_PASSWORD.next_after(("password",)) == set()
    assert KEY_THEN_PASSWORD.next_after(("publickey", "password")) == set()
    assert KEY_THEN_PASSWORD.may_follow((), "publickey")
    assert not KEY_THEN_PASSWORD.may_follow((), "password")
    assert KEY_THEN_PASSWORD.may_follow(("publickey",), "password")
    assert not KEY_THEN_PASSWORD.may_follow(("publickey",), "publickey")


def test_where_there_are_several_combinations_each_of_them_may_go_on() -> None:
    assert EITHER_THEN_CODE.next_after(()) == {"publickey", "password"}
    assert EITHER_THEN_CODE.next_after(("password",)) == {"totp"}
    assert not EITHER_THEN_CODE.may_follow((), "totp")


def test_a_factor_is_of_use_if_any_combination_has_it() -> None:
    assert [KEY_THEN_PASSWORD.use("publickey"), KEY_THEN_PASSWORD.use("password")] == [True, True]
    assert not KEY_THEN_PASSWORD.use("totp")
    assert login_methods(["publickey", "password+totp"]).use("totp")


def test_combinations_are_read_once_each_in_their_order_with_or_without_spaces() -> None:
    methods = login_methods(["password + totp", "publickey", "password+totp"])
    assert methods.combinations == (("password", "totp"), ("publickey",))
    assert methods.text == "password+totp or publickey"
    assert login_methods(["publickey+password+totp"]).text == "publickey+password+totp"


def test_the_same_factors_in_another_order_are_another_combination() -> None:
    both = login_methods(["publickey+password", "password+publickey"])
    assert both.combinations == (("publickey", "password"), ("password", "publickey"))


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        ([], "should name at least one method, or be left out"),
        (["keys"], "'keys' should be publickey, password or totp, or several of them joined by '+'"),
        (["password+"], "'' should be publickey, password or totp, or several of them joined by '+'"),
        (
            ["publickey+" + "x" * 50],
            f"'{'x' * 40}' should be publickey, password or totp, or several of them joined by '+'",
        ),
        (["totp+totp"], "'totp+totp' should name each method once"),
        (["password+totp+password"], "'password+totp+password' should name each method once"),
        (
            ["totp+password"],
            "'totp+password' should not begin with totp: a code is a second step, as in 'password+totp'",
        ),
        (
            ["publickey+password+totp", "publickey"],
            "'publickey+password+totp' is never needed, because 'publickey' is enough",
        ),
        (
            ["password", "publickey+password", "publickey+password+totp"],
            "'publickey+password+totp' is never needed, because 'publickey+password' is enough",
        ),
    ],
)
def test_what_is_impossible_or_never_needed_is_refused_with_what_would_be_right(
    texts: list[str], problem: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        login_methods(texts)
