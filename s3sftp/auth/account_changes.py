"""What differs between two accounts of a user, for the log: values of rights, names of credentials. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from s3sftp.auth.accounts import Account
from s3sftp.config import is_secret

_CREDENTIALS = frozenset({"keys", "password_hash", "totp_secret"})


@dataclass(frozen=True, slots=True)
class AccountChanges:
    """What is different about a user, by the names of the fields of `Account` and `Identity`."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    """Values in the form of JSON, in both, of all that is no credential. `(hidden)` stands for the values of
    attributes that may be one by their name."""
    credentials: tuple[str, ...]
    """Which credentials differ."""


def compare_accounts(old: Account, new: Account) -> AccountChanges:
    """Compare two accounts of the same user."""
    before, after = _form(old), _form(new)
    names = [name for name in after if before.get(name) != after[name]]
    shown = [name for name in names if not _is_credential(name)]
    return AccountChanges(
        {name: _public(before.get(name)) for name in shown},
        {name: _public(after[name]) for name in shown},
        tuple(name for name in names if _is_credential(name)),
    )


def describe_account(account: Account) -> AccountChanges:
    """All that an account has, as the change from no account."""
    form = _form(account)
    held = {name: value for name, value in form.items() if value not in (None, "", [], {})}
    after = {name: _public(value) for name, value in held.items() if not _is_credential(name)}
    return AccountChanges({}, after, tuple(name for name in held if _is_credential(name)))


def _is_credential(name: str) -> bool:
    return name in _CREDENTIALS or is_secret(name)


def _public(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: "(hidden)" if is_secret(name) else _public(each) for name, each in value.items()}


def _form(account: Account) -> dict[str, Any]:
    form: dict[str, Any] = _adapter().dump_python(account, mode="json")
    return {**form.pop("identity"), **form}


@cache
def _adapter() -> TypeAdapter[Account]:
    return TypeAdapter(Account)
