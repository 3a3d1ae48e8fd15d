"""A user's own limits come before those of groups, and these before the server's; 0 lifts a limit."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from s3sftp.auth import LimitOptions, Limits, UserOptions, account_from_line, account_to_line, read_logins

LIMITS = st.builds(Limits, *(st.none() | st.integers(0, 1 << 40) for _ in fields(Limits)))


@given(LIMITS, LIMITS)
def test_each_limit_is_the_users_own_if_there_is_one(own: Limits, others: Limits) -> None:
    found = own.over(others)
    for each in fields(Limits):
        mine = getattr(own, each.name)
        assert getattr(found, each.name) == (getattr(others, each.name) if mine is None else mine)


def test_limits_of_a_table_reach_the_account_and_the_workers() -> None:
    options = UserOptions(limits=LimitOptions(max_sessions=2, upload_bytes_per_second="1 MiB"))
    account = read_logins({"alice": options}).accounts["alice"]
    assert account.identity.limits == Limits(2, 1 << 20)
    assert account_from_line(account_to_line("alice", account)) == ("alice", account)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("upload_bytes_per_second", 1, "at least 16 KiB in a second"),
        ("download_bytes_per_second", "16383", "at least 16 KiB in a second"),
        ("upload_bytes_per_second", "1 MB", "should be a number of bytes, like 8388608 or '8 MiB'"),
        ("max_sessions", -1, "greater than or equal to 0"),
        ("requests_per_second", 0.5, "integer"),
        ("max_files", 1, "not permitted"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_name(option: str, value: object, expected: str) -> None:
    with pytest.raises(ValidationError, match=option) as refused:
        LimitOptions(**{option: value})
    assert expected in str(refused.value)


@pytest.mark.parametrize("rate", [0, 16 << 10, "16 KiB", "1 GiB"])
def test_a_rate_is_zero_or_at_least_what_clients_can_live_with(rate: object) -> None:
    assert LimitOptions(upload_bytes_per_second=rate).upload_bytes_per_second is not None
