"""Makes an account of a table like `[users.NAME]` that a source of users has answered. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3sftp.auth.accounts import Account, BadKey, read_logins
from s3sftp.auth.identity import Identity
from s3sftp.auth.mount_roles import refused_roles
from s3sftp.auth.sources.transfer_family import AnswerProblem, UserHomes
from s3sftp.auth.user_options import UserOptions
from s3sftp.config import read_table


def account_of_table(
    user: str, table: Mapping[str, Any], home: UserHomes, origin: str
) -> tuple[Account, tuple[BadKey, ...]]:
    """The account that the table gives to this user, and its keys that cannot be used. `origin` is where the
    table comes from, for texts.

    Raises AnswerProblem: if the table cannot be used.
    """
    problems: list[str] = []
    options = read_table(UserOptions, ("user",), table, lambda _path: origin, problems)
    if options is None:
        raise AnswerProblem("; ".join(problems))
    logins = read_logins({user: options})
    account = logins.accounts[user]
    _require_usable(account.identity, home)
    return account, tuple(logins.bad_keys)


def _require_usable(identity: Identity, home: UserHomes) -> None:
    """Raises AnswerProblem: if the user's tree cannot be used, or leads to what is no user's."""
    for prefix in (identity.prefix or "", *(mount.prefix for mount in identity.mounts)):
        home.check(prefix)
    for mount in identity.mounts:
        if mount.storage and mount.storage not in home.storages:
            raise AnswerProblem(f"mount {mount.path!r}: there is no storage {mount.storage!r}")
    for path, problem in refused_roles(identity.mounts, home.roles):
        raise AnswerProblem(f"mount {path!r}: {problem}")
    if problems := identity.problems():
        raise AnswerProblem("; ".join(problems))
