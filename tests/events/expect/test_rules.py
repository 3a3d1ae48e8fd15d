"""Rules for expected files: which paths, which days, which moment; without a clock and without a storage."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from s3sftp.events.cloud_event import CloudEvent, EventKind
from s3sftp.events.expect.dated_path import DatedPath
from s3sftp.events.expect.options import ExpectOptions
from s3sftp.events.expect.rules import ExpectedFile, ExpectRule, files_met, missing_event

FRIDAY = date(2026, 11, 27)
ORDERS = {"user": "acme", "path": "/in/orders-{date}.csv", "by": "18:00 Europe/Berlin"}


def rule_with(**changes: Any) -> ExpectRule:
    return ExpectRule.of("orders", ExpectOptions(**(ORDERS | changes)))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# ── paths ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "on_friday"),
    [
        ("/in/orders-{date}.csv", "/in/orders-2026-11-27.csv"),
        ("/in/{date:%Y}/{date:%m}/orders-{date:%d}.csv", "/in/2026/11/orders-27.csv"),
        ("/in/{date-1:%d.%m.%y}.csv", "/in/26.11.26.csv"),
        ("/in/{date-27}.csv", "/in/2026-10-31.csv"),
        ("/in/week-{date:%G-%V}.csv", "/in/week-2026-48.csv"),
        ("/in/orders-{date:%Y%m%d}-*.csv", "/in/orders-20261127-*.csv"),
    ],
)
def test_a_path_has_the_date_of_its_day(text: str, on_friday: str) -> None:
    assert DatedPath(text).on(FRIDAY) == on_friday


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("/in/orders.csv", "should contain {date}"),
        ("in/{date}.csv", "should be the whole path"),
        ("/in//{date}.csv", "should be the whole path"),
        ("/in/{date}/", "should be the whole path"),
        ("/in/{day}-{date}.csv", "should have no braces but"),
        ("/in/{date:%H}.csv", "should have codes of strftime for a date"),
        ("/in/{date:today}.csv", "should have codes of strftime for a date"),
        ("/in/{date:%Y/%m}.csv", "should have codes of strftime for a date"),
        ("/*/{date}.csv", "in the last name alone"),
        ("/in/../{date}.csv", "no '..'"),
        ("/in/{date}*********.csv", "more than 8"),
    ],
)
def test_a_path_that_cannot_be_is_answered_with_what_can(text: str, right: str) -> None:
    with pytest.raises(ValueError, match=r"^") as caught:
        DatedPath(text)
    assert right in str(caught.value)


@given(st.dates(min_value=date(1990, 1, 1), max_value=date(2090, 1, 1)))
def test_each_day_s_path_matches_its_day_and_no_other(day: date) -> None:
    path = DatedPath("/in/{date-2:%y%j}/a-{date}-*.csv")
    found = path.on(day).replace("*", "7")
    assert path.may_match(found)
    assert path.matches(found, day)
    assert not path.matches(found, day + timedelta(days=1))


def test_a_pattern_stays_in_its_directory_and_ignores_case() -> None:
    path = DatedPath("/in/orders-{date}-*.csv")
    assert path.matches("/IN/Orders-2026-11-27-a.CSV", FRIDAY)
    assert not path.matches("/in/orders-2026-11-27-a/b.csv", FRIDAY)
    assert not path.matches("/in/x/orders-2026-11-27-a.csv", FRIDAY)


# ── options ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({"by": "6 pm"}, "should be a time of day and a time zone, like '18:00 Europe/Berlin'"),
        ({"by": "25:00"}, "should be a time from 00:00 to 24:00"),
        ({"by": "18:00 Mars/Base"}, "should be a time zone, such as 'Europe/Berlin' or 'UTC'"),
        ({"days": "Mon-Fry"}, "should be a day: Mon, Tue, Wed, Thu, Fri, Sat or Sun"),
        ({"user": "a/b"}, "should be the name of a user, or a pattern"),
        ({"min_bytes": -1}, "greater than or equal to 0"),
        ({"path": "/orders.csv"}, "should contain {date}"),
    ],
)
def test_a_wrong_option_is_answered_with_what_is_right(changes: dict[str, Any], right: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ExpectOptions(**(ORDERS | changes))
    assert right in caught.value.errors()[0]["msg"]


# ── when ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("by", "day", "at"),
    [
        ("18:00 Europe/Berlin", FRIDAY, "2026-11-27T17:00"),
        ("18:00 Europe/Berlin", date(2026, 7, 1), "2026-07-01T16:00"),
        ("18:00", FRIDAY, "2026-11-27T18:00"),
        ("24:00 Europe/Berlin", FRIDAY, "2026-11-27T23:00"),
        ("02:30 Europe/Berlin", date(2026, 3, 29), "2026-03-29T01:30"),  # there is no 02:30
        ("02:30 Europe/Berlin", date(2026, 10, 25), "2026-10-25T01:30"),  # the second 02:30
        ("00:30 Pacific/Kiritimati", FRIDAY, "2026-11-26T10:30"),
        ("23:30 Pacific/Pago_Pago", FRIDAY, "2026-11-28T10:30"),
    ],
)
def test_a_rule_is_due_at_one_moment_of_a_day(by: str, day: date, at: str) -> None:
    rule = rule_with(by=by)
    assert rule.due_at(day) == utc(at)
    assert list(rule.due_days(utc(at) - timedelta(seconds=1), utc(at))) == [day]
    assert list(rule.due_days(utc(at), utc(at) + timedelta(hours=1))) == []


def test_only_the_days_of_the_rule_are_due() -> None:
    rule = rule_with(days="Mon-Fri")
    days = list(rule.due_days(utc("2026-11-27T00:00"), utc("2026-12-01T23:00")))
    assert days == [FRIDAY, date(2026, 11, 30), date(2026, 12, 1)]
    assert rule.next_due(utc("2026-11-27T17:00")) == utc("2026-11-30T17:00")


@given(
    st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2030, 1, 1)),
    st.lists(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=2)), max_size=20),
    st.sampled_from(["00:00", "02:30", "03:00", "18:00", "24:00"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Pacific/Apia", "UTC"]),
)
def test_however_often_one_looks_each_day_is_due_once(
    start: datetime, pauses: list[timedelta], by: str, zone: str
) -> None:
    rule = rule_with(by=f"{by} {zone}")
    looks = [start.replace(tzinfo=UTC)]
    for pause in pauses:
        looks.append(looks[-1] + pause)
    found = [day for after, until in pairwise(looks) for day in rule.due_days(after, until)]
    assert found == list(rule.due_days(looks[0], looks[-1]))


# ── what fulfils it ─────────────────────────────────────────────────────────────────────────────────


def met(rule: ExpectRule, path: str, user: str = "acme", size: int | None = 10) -> list[ExpectedFile]:
    return files_met([rule], user, path, size, utc("2026-11-27T12:00"))


def test_a_file_fulfils_the_rule_of_its_day() -> None:
    file = ExpectedFile("orders", FRIDAY, "acme")
    assert met(rule_with(), "/in/orders-2026-11-27.csv") == [file]
    assert met(rule_with(), "/in/orders-2026-11-28.csv") == [
        ExpectedFile("orders", date(2026, 11, 28), "acme")
    ]


@pytest.mark.parametrize(
    ("changes", "path", "user", "size"),
    [
        ({}, "/in/orders-2026-11-27.csv", "globex", 10),
        ({}, "/in/orders-2026-11-27.csv.filepart", "acme", 10),
        ({}, "/in/orders-2025-11-27.csv", "acme", 10),
        ({"days": "Sat"}, "/in/orders-2026-11-27.csv", "acme", 10),
        ({"min_bytes": 11}, "/in/orders-2026-11-27.csv", "acme", 10),
        ({"user": "ACME"}, "/in/orders-2026-11-27.csv", "acme", 10),
    ],
)
def test_another_user_name_day_or_size_does_not(
    changes: dict[str, Any], path: str, user: str, size: int | None
) -> None:
    assert met(rule_with(**changes), path, user, size) == []


def test_an_unknown_size_is_never_too_small() -> None:
    assert len(met(rule_with(min_bytes=1), "/in/orders-2026-11-27.csv", size=None)) == 1


def test_a_pattern_of_users_expects_a_file_of_each() -> None:
    rule = rule_with(user="partner-*")
    path = "/in/orders-2026-11-27.csv"
    assert [each.user for each in met(rule, path, "partner-1")] == ["partner-1"]
    assert met(rule, path, "acme") == []


# ── the event ───────────────────────────────────────────────────────────────────────────────────────


def test_the_event_has_the_same_id_whoever_announces_it() -> None:
    rule, file = rule_with(min_bytes=100), ExpectedFile("orders", FRIDAY, "acme")
    one = missing_event(rule, file, "/s3sftp/a", None, 1.0)
    other = missing_event(rule, file, "/s3sftp/b", 7, 2.0)
    assert one.id == other.id
    assert one.id != missing_event(rule, ExpectedFile("orders", FRIDAY, "globex"), "/s3sftp/a", None, 1.0).id
    assert (one.kind, one.subject) == (EventKind.FILE_MISSING, "/in/orders-2026-11-27.csv")
    assert one.data == {
        "user": "acme",
        "path": "/in/orders-2026-11-27.csv",
        "rule": "orders",
        "day": "2026-11-27",
        "due": "2026-11-27T17:00:00Z",
        "reason": "absent",
        "min_bytes": 100,
        "found_bytes": None,
    }
    assert (other.data["reason"], other.data["found_bytes"]) == ("too_small", 7)
    assert CloudEvent.from_json(one.to_json()) == one
