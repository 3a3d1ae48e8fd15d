"""Adds up what each process says a user has moved and caused today. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from s3sftp.admin.api_models import CostList, UserCost
from s3sftp.fs.transfer_book import MAX_USERS, OTHER_USERS
from s3sftp.telemetry.logs import printable

_NUMBERS = ("s3_requests", "s3_dollars", "bytes_in", "bytes_out", "files_in", "files_out")
_DAY_SECONDS = 86400


def costs_of_day(answers: Sequence[Mapping[str, Any]], missing: list[int], now: float) -> CostList:
    """The list for the day of `now`, in seconds since the epoch. Users beyond the bound are one entry."""
    today = int(now // _DAY_SECONDS)
    sums: dict[str, dict[str, float]] = {}
    for answer in answers:
        if answer["day"] == today:
            for each in answer["users"]:
                _add(sums, each["user"], each)
    ordered = sorted(sums, key=lambda user: _rank(sums[user]), reverse=True)
    for user in [user for user in ordered if user != OTHER_USERS][MAX_USERS:]:
        _add(sums, OTHER_USERS, sums.pop(user))
    ordered = sorted(sums, key=lambda user: (user != OTHER_USERS, *_rank(sums[user])), reverse=True)
    items = [UserCost.model_validate({"user": printable(user), **sums[user]}) for user in ordered]
    day = datetime.fromtimestamp(today * _DAY_SECONDS, UTC).date().isoformat()
    return CostList(day=day, items=items, not_answered=missing)


def _add(sums: dict[str, dict[str, float]], user: str, numbers: Mapping[str, Any]) -> None:
    sum_of = sums.setdefault(user, dict.fromkeys(_NUMBERS, 0))
    for name in _NUMBERS:
        sum_of[name] += numbers[name]


def _rank(numbers: Mapping[str, float]) -> tuple[float, float]:
    return numbers["s3_dollars"], numbers["bytes_in"] + numbers["bytes_out"]
