"""A user's own limits come before those of groups, and these before the server's; 0 lifts a limit."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from s3sftp.auth import LimitOptions, Limits, UserOptions, account_from_line, account_to_line, read_logins
from s3sftp.backends import Place
from s3sftp.fs import NO_QUOTA, Quota
from s3sftp.fs.quota import PlacedQuota

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


def test_quotas_of_a_table_reach_the_tree_and_the_workers() -> None:
    mounts = {
        "/in": {"prefix": "{user}/in/", "quota": {"files": 3}},
        "/out": {"prefix": "out/", "quota": {"bytes": 0}},
    }
    options = UserOptions(quota={"bytes": "50 GiB", "files": 10_000}, mounts=mounts, prefix="home/{user}/")
    account = read_logins({"alice": options}).accounts["alice"]
    assert account_from_line(account_to_line("alice", account)) == ("alice", account)
    assert account.identity.tree().quotas == (
        PlacedQuota(Place((b"home", b"alice")), Quota(50 << 30, 10_000)),
        PlacedQuota(Place((b"alice", b"in")), Quota(None, 3)),
    )
    assert read_logins({"bob": UserOptions(quota={"bytes": 0})}).accounts["bob"].identity.quota == NO_QUOTA


@pytest.mark.parametrize(
    "quota", [{"bytes": -1}, {"files": -1}, {"files": 1.5}, {"bytes": "1 MB"}, {"byte": 1}]
)
def test_a_quota_that_cannot_be_is_refused_by_name(quota: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=f"quota.{next(iter(quota))}"):
        UserOptions(quota=quota)
