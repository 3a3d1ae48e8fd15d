"""Makes an account of the hook's answer, or says why it cannot be used. Pure.

{}, or a blank Role                                        refused
{"Role": …, "HomeDirectory": "/bucket/acme", …}            the form of AWS Transfer Family
{"authenticated": true, "user": {"prefix": "acme/"}}       a table like `[users.NAME]`
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from s3sftp.auth.accounts import Account, BadKey
from s3sftp.auth.hook.options import HookOptions
from s3sftp.auth.hook.requests import Question
from s3sftp.auth.sources.accounts_of_tables import account_of_table
from s3sftp.auth.sources.transfer_family import AnswerProblem, UserHomes, table_of

_OWN_FIELDS = frozenset({"authenticated", "user"})
_USER_FIELDS = frozenset(
    {
        "allow",
        "attributes",
        "authorized_keys",
        "deny",
        "directories",
        "disabled",
        "expires",
        "hide",
        "hours",
        "limits",
        "max_file_bytes",
        "mounts",
        "networks",
        "on_conflict",
        "paths",
        "prefix",
        "quota",
        "read_only",
        "rights",
    }
)
"""The options of a user that an answer may have: those that a login by the hook enforces. A file of keys
would let the hook read files of this machine, and passwords are verified by the hook itself, which verifies
no codes, no certificates and no combinations of factors. Groups belong to the configuration."""


class AnswerReader:
    """Reads the answers of one hook."""

    def __init__(self, options: HookOptions, home: UserHomes) -> None:
        self._options = options
        self._home = home

    def account(self, question: Question, data: bytes) -> tuple[Account | None, tuple[BadKey, ...]]:
        """The account that the answer gives to this user, and its keys that cannot be used. None: refused.

        For a login by password, an account means that the password was right. For a login by public key, the
        caller has to compare the account's keys.

        Raises AnswerProblem: if the answer cannot be used.
        """
        answer = _object_in(data)
        own = bool(_OWN_FIELDS & answer.keys())
        table = _own_table(answer, question) if own else table_of(answer, self._options, self._home)
        if table is None:
            return None, ()
        return account_of_table(question.user, table, self._home, "the hook's answer")


def _object_in(data: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        raise AnswerProblem("it is not JSON") from None
    if not isinstance(answer, dict):
        raise AnswerProblem("it should be a JSON object, `{…}`")
    return answer


def _own_table(answer: Mapping[str, Any], question: Question) -> Mapping[str, Any] | None:
    if unknown := sorted(answer.keys() - _OWN_FIELDS):
        raise AnswerProblem(f"beside `user` there may be only `authenticated`, not {_listed(unknown)}")
    authenticated, table = answer.get("authenticated", False), answer.get("user")
    if not isinstance(authenticated, bool):
        raise AnswerProblem("authenticated: should be true or false")
    if question.password and not authenticated:
        return None
    if not isinstance(table, dict):
        raise AnswerProblem("user: should be a table of options")
    if refused := sorted(table.keys() - _USER_FIELDS):
        raise AnswerProblem(
            f"user: may not have {_listed(refused)}; an answer may have {_listed(sorted(_USER_FIELDS))}"
        )
    return table


def _listed(names: list[str]) -> str:
    return ", ".join(name[:50] for name in names[:10])
