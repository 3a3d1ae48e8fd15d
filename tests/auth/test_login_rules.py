"""When and from where a user may log in, and which factors a login needs: the options and their meaning."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import argon2
import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from s3sftp.auth import (
    Account,
    AuthOptions,
    Identity,
    LoginMethods,
    Logins,
    UserOptions,
    account_from_line,
    account_to_line,
    read_authorities,
    read_logins,
)
from s3sftp.auth.login_rules import Expiry, LoginRules, Networks
from s3sftp.auth.weekly_hours import WeeklyHours
from s3sftp.config import week_times

HASH = argon2.PasswordHasher(time_cost=1, memory_cost=1024).hash("x")
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
NOON = datetime(2027, 1, 13, 12, tzinfo=UTC)
"""A Wednesday."""


def rules(**options: Any) -> LoginRules:
    return UserOptions(**options).login_rules


def account(**options: Any) -> Account:
    return read_logins({"alice": UserOptions(**options)}).accounts["alice"]


def test_without_rules_everybody_may_log_in_from_everywhere() -> None:
    assert rules().refusal("192.0.2.1", NOON) is None
    assert rules().refusal("no address", NOON) is None


def test_a_disabled_user_may_not() -> None:
    assert rules(disabled=True).refusal("192.0.2.1", NOON) == "the user is disabled"


@pytest.mark.parametrize(
    ("expires", "last"),
    [
        (date(2027, 1, 31), datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC)),
        ("2027-01-31", datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC)),
        ("2027-01-31T18:00:00Z", datetime(2027, 1, 31, 17, 59, 59, tzinfo=UTC)),
        ("2027-01-31 18:00+01:00", datetime(2027, 1, 31, 16, 59, 59, tzinfo=UTC)),
        (datetime(2027, 1, 31, 18, tzinfo=UTC), datetime(2027, 1, 31, 17, 59, 59, tzinfo=UTC)),
    ],
)
def test_an_account_expires_at_its_time_or_with_the_end_of_its_day(expires: object, last: datetime) -> None:
    made = rules(expires=expires)
    assert made.refusal("192.0.2.1", last) is None
    assert made.refusal("192.0.2.1", last + timedelta(seconds=1)) == "the user has expired"


@pytest.mark.parametrize(
    "networks", ["192.0.2.0/24, !192.0.2.66, 2001:db8::/32", ["192.0.2.*", "!192.0.2.66", "2001:db8::/32"]]
)
def test_networks_are_the_patterns_of_authorized_keys(networks: object) -> None:
    made = rules(networks=networks)
    allowed = [made.refusal(a, NOON) is None for a in ("192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1")]
    refused = [made.refusal(a, NOON) for a in ("192.0.2.66", "198.51.100.1", "")]
    assert all(allowed)
    assert set(refused) == {"the user may not log in from this address"}


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("07:00-19:00", "2027-01-13T07:00Z", "2027-01-13T19:00Z"),
        ("Wed 11:59-12:59", "2027-01-13T12:58Z", "2027-01-13T12:59Z"),
        ("Wed 00:00-24:00", "2027-01-13T23:59Z", "2027-01-14T00:00Z"),
        ("Mon-Fri 07:00-19:00 Europe/Berlin", "2027-01-13T06:00Z", "2027-01-13T05:59Z"),
        ("mon-fri 07:00-19:00 Europe/Berlin", "2027-07-14T05:00Z", "2027-07-14T17:00Z"),
        ("Sat, Sun 08:00-12:00", "2027-01-16T08:00Z", "2027-01-15T08:00Z"),
        ("Sat-Mon 08:00-12:00", "2027-01-18T08:00Z", "2027-01-19T08:00Z"),
        ("Mon-Fri 09:00-17:00 Asia/Kolkata", "2027-01-13T03:30Z", "2027-01-13T03:29Z"),
    ],
)
def test_hours_include_their_first_minute_and_not_their_last(text: str, inside: str, outside: str) -> None:
    made = rules(hours=[text])
    assert made.refusal("192.0.2.1", datetime.fromisoformat(inside)) is None
    assert (
        made.refusal("192.0.2.1", datetime.fromisoformat(outside)) == "the user may not log in at this hour"
    )


def test_hours_over_midnight_belong_to_the_day_on_which_they_begin() -> None:
    night = WeeklyHours.parse("Fri 22:00-06:00")
    moments = {"2027-01-15T21:59Z": False, "2027-01-15T22:00Z": True, "2027-01-16T05:59Z": True}
    moments |= {"2027-01-16T06:00Z": False, "2027-01-15T05:00Z": False, "2027-01-16T22:30Z": False}
    assert {moment: night.include(datetime.fromisoformat(moment)) for moment in moments} == moments


def test_hours_follow_the_clock_on_the_wall_through_daylight_saving_time() -> None:
    """In Berlin 2:00 to 3:00 does not exist on 28 March 2027, and comes twice on 31 October."""
    early = WeeklyHours.parse("Sun 01:30-02:30 Europe/Berlin")
    spring = {"2027-03-28T00:29Z": False, "2027-03-28T00:30Z": True, "2027-03-28T00:59Z": True}
    spring |= {"2027-03-28T01:00Z": False, "2027-03-28T01:30Z": False}
    autumn = {"2027-10-31T00:00Z": True, "2027-10-31T00:29Z": True, "2027-10-31T00:30Z": False}
    autumn |= {"2027-10-31T01:00Z": True, "2027-10-31T01:29Z": True, "2027-10-31T01:30Z": False}
    for moments in (spring, autumn):
        assert {m: early.include(datetime.fromisoformat(m)) for m in moments} == moments


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]),
    st.integers(0, 1439),
    st.integers(0, 1439),
)
def test_a_span_and_the_rest_of_the_day_are_the_whole_day(
    moment: datetime, zone: str, start: int, end: int
) -> None:
    if start == end:
        return
    one, other = (WeeklyHours(tuple(range(7)), *span, zone) for span in ((start, end), (end, start)))
    now = moment.replace(tzinfo=UTC)
    assert one.include(now) != other.include(now)


IMPOSSIBLE: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "a time without zone": ({"expires": "2027-01-31T18:00:00"}, "zone"),
    "no date": ({"expires": "31.1.2027"}, "2027-01-31"),
    "no such day": ({"expires": "2027-02-30"}, "2027-01-31"),
    "a number": ({"expires": 1800000000}, "2027-01-31"),
    "a host name": ({"networks": ["partner.example"]}, "not an address"),
    "exceptions alone": ({"networks": ["!192.0.2.1"]}, "without '!'"),
    "no pattern": ({"networks": []}, "without '!'|not an address"),
    "no hours": ({"hours": ["business hours"]}, "Mon-Fri 07:00-19:00"),
    "no such day of the week": ({"hours": ["Mo-Fr 07:00-19:00"]}, "should be a day"),
    "no such time": ({"hours": ["Mon 07:00-25:00"]}, "00:00 to 24:00"),
    "no such minute": ({"hours": ["Mon 07:60-08:00"]}, "00:00 to 24:00"),
    "after the end of the day": ({"hours": ["Mon 07:00-24:01"]}, "00:00 to 24:00"),
    "exceptions alone, as a text": ({"networks": "!192.0.2.1, !192.0.2.2"}, "without '!'"),
    "nothing": ({"hours": ["Mon 07:00-07:00"]}, "no span of time"),
    "no such zone": ({"hours": ["Mon 07:00-19:00 Europe/Bärlin"]}, "should be like|time zone"),
    "an unknown zone": ({"hours": ["Mon 07:00-19:00 Europe/Nowhere"]}, "Europe/Berlin"),
    "a folder of zones": ({"hours": ["Mon 07:00-19:00 Europe"]}, "Europe/Berlin"),
    "an unknown method": ({"methods": ["keyboard-interactive"]}, "publickey, password or totp"),
    "a method twice": ({"methods": ["publickey+publickey"]}, "once"),
    "a code alone": ({"methods": ["totp"], "totp_secret": SECRET}, "second step"),
    "what is never needed": (
        {"methods": ["publickey", "publickey+password"], "password_hash": HASH},
        "never needed",
    ),
    "no password": ({"methods": ["publickey+password"]}, "no password_hash"),
    "no secret": ({"methods": ["publickey+totp"]}, "no totp_secret"),
    "a secret without use": ({"methods": ["publickey"], "totp_secret": SECRET}, "does not ask for totp"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_an_impossible_rule_is_refused_with_what_would_be_right(case: str) -> None:
    options, right = IMPOSSIBLE[case]
    with pytest.raises(ValidationError, match=right):
        UserOptions(**options)


def test_a_machine_without_time_zones_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    week_times.time_zone.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "tzdata", None)
    zoneinfo.ZoneInfo.clear_cache()
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([str(tmp_path)])
    try:
        with pytest.raises(ValidationError, match="install tzdata"):
            UserOptions(hours=("07:00-19:00 Europe/Berlin",))
    finally:
        zoneinfo.reset_tzpath(before)


def test_a_secret_asks_for_codes_unless_methods_say_otherwise() -> None:
    def combinations(**options: Any) -> object:
        return account(**options).identity.login_methods.combinations

    assert combinations(password_hash=HASH) == (("publickey",), ("password",))
    assert combinations(password_hash=HASH, totp_secret=SECRET) == (
        ("publickey", "totp"),
        ("password", "totp"),
    )
    chosen = combinations(password_hash=HASH, totp_secret=SECRET, methods=("publickey", "password + totp"))
    assert chosen == (("publickey",), ("password", "totp"))


def test_a_user_without_the_credentials_of_any_combination_is_locked_out() -> None:
    assert account(password_hash=HASH).can_log_in
    assert not account(password_hash=HASH, methods=("publickey",)).can_log_in
    assert not account(password_hash=HASH, methods=("publickey+password",)).can_log_in
    assert account(password_hash=HASH, methods=("publickey", "password")).can_log_in


def test_a_ca_that_may_certify_the_user_s_key_counts_as_a_key_and_as_nothing_else() -> None:
    ca = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    trusted = read_authorities(AuthOptions(trusted_user_ca_keys=[ca]))

    def logins(**options: Any) -> Logins:
        return read_logins({"alice": UserOptions(**options)}, authorities=trusted)

    assert not logins(methods=("publickey",)).locked_out()
    assert not logins(password_hash=HASH, methods=("publickey+password",)).locked_out()
    assert not logins(totp_secret=SECRET).locked_out()
    none = logins(password_hash=HASH, principals=(), methods=("publickey+password",))
    assert none.locked_out() == ["alice"]
    by_password = replace(logins().accounts["alice"].identity, login_methods=LoginMethods((("password",),)))
    alice = replace(logins().accounts["alice"], identity=by_password)
    assert Logins({"alice": alice}).locked_out() == ["alice"]
    assert alice.lack == "the credentials are not enough for password"


def test_a_group_may_ask_for_more_than_one_of_its_users_has_as_long_as_there_is_a_way() -> None:
    options = {"methods": ("publickey+totp", "password+totp"), "totp_secret": SECRET}
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    assert account(authorized_keys=(key,), **options).can_log_in
    assert account(password_hash=HASH, **options).can_log_in
    assert not account(**options).can_log_in


def test_workers_get_the_rules_and_the_secret() -> None:
    made = account(
        password_hash=HASH,
        totp_secret=SECRET,
        methods=("password+totp",),
        expires="2027-01-31",
        networks=["192.0.2.0/24"],
        hours=("Mon-Fri 07:00-19:00 Europe/Berlin",),
    )
    assert account_from_line(account_to_line("alice", made)) == ("alice", made)
    assert SECRET not in repr(made)


def test_an_identity_of_an_application_has_no_rules_unless_it_says_so() -> None:
    assert Identity("alice").login_rules == LoginRules()
    assert Identity("alice").login_methods.text == "publickey or password"


@pytest.mark.parametrize(
    "text", ["Mon-Fri 07:00-19:00 Europe/Berlin", "22:00-06:00", "Sun 00:00-24:00 Asia/Kolkata"]
)
def test_hours_are_shown_as_they_can_be_written(text: str) -> None:
    hours = WeeklyHours.parse(text)
    assert WeeklyHours.parse(str(hours)) == hours


def test_an_application_s_expiry_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="aware"):
        LoginRules(expires=datetime(2027, 1, 31))


# ── the borders of each rule ────────────────────────────────────────────────────────────────────────


def problem_of(kind: object, value: object) -> str:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    (problem,) = caught.value.errors()
    return str(problem["msg"]).removeprefix("Value error, ")


def test_a_user_who_may_not_log_in_for_several_reasons_is_refused_for_the_most_lasting_one() -> None:
    expired, elsewhere = {"expires": NOON}, {"networks": ["198.51.100.0/24"]}
    late = {"hours": ["Wed 13:00-14:00"]}
    for options, reason in (
        ({"disabled": True} | expired | elsewhere | late, "the user is disabled"),
        (expired | elsewhere | late, "the user has expired"),
        (elsewhere | late, "the user may not log in from this address"),
        (late, "the user may not log in at this hour"),
    ):
        assert rules(**options).refusal("192.0.2.1", NOON) == reason


def test_sessions_end_with_the_user_and_not_with_the_hours_or_at_another_address() -> None:
    assert rules(disabled=True).end(NOON) == "the user is disabled"
    expiring = rules(expires=NOON)
    assert [expiring.end(NOON - timedelta(seconds=1)), expiring.end(NOON)] == [None, "the user has expired"]
    assert rules(networks=["198.51.100.0/24"], hours=["Wed 13:00-14:00"]).end(NOON) is None


def test_one_of_several_hours_is_enough() -> None:
    made = rules(hours=["Mon 07:00-19:00", "Wed 11:00-13:00"])
    assert made.refusal("192.0.2.1", NOON) is None
    assert made.refusal("192.0.2.1", NOON + timedelta(hours=1)) == "the user may not log in at this hour"


IS_NO_EXPIRY = "should be a date such as 2027-01-31, or a time with its zone: 2027-01-31T18:00:00Z"
HAS_NO_ZONE = "should say in which zone this time is, such as 2027-01-31T18:00:00Z"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("31.1.2027", IS_NO_EXPIRY),
        ("2027-02-30", IS_NO_EXPIRY),
        ("", IS_NO_EXPIRY),
        (1_800_000_000, IS_NO_EXPIRY),
        (None, IS_NO_EXPIRY),
        (date.max, IS_NO_EXPIRY),
        ("2027-01-31T18:00:00", HAS_NO_ZONE),
        (datetime(2027, 1, 31, 18), HAS_NO_ZONE),
    ],
)
def test_what_is_no_expiry_is_refused_with_what_would_be_right(value: object, problem: str) -> None:
    assert problem_of(Expiry, value) == problem


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2027-01-31", datetime(2027, 2, 1, tzinfo=UTC)),
        ("2027-W04-7", datetime(2027, 2, 1, tzinfo=UTC)),
        (date(2027, 12, 31), datetime(2028, 1, 1, tzinfo=UTC)),
        ("2027-01-31T18:00:00+02:00", datetime(2027, 1, 31, 16, tzinfo=UTC)),
        (
            datetime(2027, 1, 31, 18, tzinfo=timezone(timedelta(hours=2))),
            datetime(2027, 1, 31, 16, tzinfo=UTC),
        ),
    ],
)
def test_an_expiry_is_a_moment_in_utc(value: object, expected: datetime) -> None:
    made = TypeAdapter(Expiry).validate_python(value)
    assert (made, made.tzinfo) == (expected, UTC)


ALLOWS_NOBODY = "should have a pattern without '!': otherwise no address is allowed"


@pytest.mark.parametrize("value", ["!192.0.2.1", " !192.0.2.1 , !192.0.2.2", ["!192.0.2.1"], ("!192.0.2.1",)])
def test_networks_that_only_exclude_are_refused_because_they_would_allow_nobody(value: object) -> None:
    assert problem_of(Networks, value) == ALLOWS_NOBODY


@pytest.mark.parametrize(
    "value",
    [
        "192.0.2.1,!192.0.2.2",
        " 192.0.2.1 , !192.0.2.2 ",
        ["192.0.2.1", "!192.0.2.2"],
        ("192.0.2.1 ", " !192.0.2.2"),
    ],
)
def test_networks_are_the_same_as_a_text_and_as_a_list(value: object) -> None:
    made = TypeAdapter(Networks).validate_python(value)
    assert [made.allow(address) for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3")] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("value", [[1, 2], ["192.0.2.1", 2], 7, None])
def test_networks_are_texts(value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Networks).validate_python(value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x" * 70, f"'{'x' * 60}' should be like 'Mon-Fri 07:00-19:00 Europe/Berlin'"),
        ("Mo-Fr 07:00-19:00", "'Mo' should be a day: Mon, Tue, Wed, Thu, Fri, Sat or Sun"),
        ("D" * 50 + " 07:00-19:00", f"'{'D' * 40}' should be a day: Mon, Tue, Wed, Thu, Fri, Sat or Sun"),
        ("07:00-24:01", "'24:01' should be a time from 00:00 to 24:00"),
        ("07:60-08:00", "'07:60' should be a time from 00:00 to 24:00"),
        ("07:00-07:00", "'07:00-07:00' is no span of time; the whole day is '00:00-24:00'"),
        ("24:00-07:00", "'24:00-07:00' is no span of time; the whole day is '00:00-24:00'"),
    ],
)
def test_hours_that_cannot_be_read_are_refused_with_what_would_be_right(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        WeeklyHours.parse(text)


def test_hours_are_told_with_their_days_by_name() -> None:
    assert str(WeeklyHours.parse("sat-mon 07:00-09:05")) == "Mon,Sat,Sun 07:00-09:05 UTC"
