"""What the admin API says of users: what they may, and nothing of their secrets. Pure."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from s3sftp.admin.api_models import UserDetail, UserEntry, UserRule
from s3sftp.app.login_report import rules_of
from s3sftp.app.options import ServerOptions
from s3sftp.auth import Account
from s3sftp.telemetry.logs import printable

_SOURCE = "configuration"


def user_entry(name: str, account: Account, now: datetime) -> UserEntry:
    """One line of the list."""
    return UserEntry(**_entry(name, account, now))


def user_detail(options: ServerOptions, name: str, account: Account, now: datetime) -> UserDetail:
    """Everything about one user."""
    identity = account.identity
    limits = asdict(identity.limits.over(options.limits.limits))
    return UserDetail(
        **_entry(name, account, now),
        reason=_why_not(account, now),
        has_password=account.password_hash is not None,
        has_second_factor=account.totp_secret is not None,
        keys=len(account.keys),
        limits={name: value for name, value in limits.items() if value},
        rules=[UserRule(**_printable(rule)) for rule in rules_of(options, identity)],
        attributes=sorted(map(printable, identity.attributes)),
    )


def _entry(name: str, account: Account, now: datetime) -> dict[str, Any]:
    return {
        "name": printable(name),
        "source": _SOURCE,
        "enabled": _why_not(account, now) is None,
        "methods": ["+".join(each) for each in account.identity.login_methods.combinations],
    }


def _why_not(account: Account, now: datetime) -> str | None:
    ended = account.identity.login_rules.end(now)
    if ended is not None:
        return ended
    return None if account.can_log_in else account.lack


def _printable(rule: dict[str, Any]) -> dict[str, Any]:
    """The rule with its texts printable: prefixes and patterns may have any character."""
    return {name: _texts(value) for name, value in rule.items()}


def _texts(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    return [printable(each) for each in value] if isinstance(value, list) else value
