"""Builds the accounts that logins need from the users' tables and the key files that these name."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from s3sftp.auth.authorized_keys import AuthorizedKey, FoundKeys, KeyProblem, keys_in
from s3sftp.auth.identity import Identity
from s3sftp.auth.key_entries import MAX_BYTES
from s3sftp.auth.user_options import UserOptions
from s3sftp.config import SourceFiles
from s3sftp.errors import ConfigurationError
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.auth")
_MAX_TOLD = 20
"""Unusable keys of one user that each get a line in the log."""
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Account:
    """One user: the identity, and the credentials that prove it."""

    identity: Identity
    password_hash: str | None
    keys: tuple[AuthorizedKey, ...]

    @property
    def can_log_in(self) -> bool:
        return bool(self.keys or self.password_hash)


Accounts = Mapping[str, Account]
"""All users by name. Immutable: to change users, replace the whole mapping."""


@dataclass(frozen=True, slots=True)
class BadKey:
    """A key of a user that cannot be used."""

    user: str
    source: str
    """The file or the option that holds the key."""
    problem: KeyProblem


@dataclass(frozen=True, slots=True)
class Logins:
    """All users, and those of their keys that cannot be used."""

    accounts: Accounts
    bad_keys: Sequence[BadKey] = ()

    def locked_out(self) -> list[str]:
        """Users with neither a usable key nor a password."""
        return [name for name, account in self.accounts.items() if not account.can_log_in]


def read_logins(users: Mapping[str, UserOptions], sources: SourceFiles | None = None) -> Logins:
    """The users with their keys, including those in key files. Files that are read are recorded in `sources`.

    Raises ConfigurationError: if files cannot be read; lists each of them.
    """
    accounts: dict[str, Account] = {}
    bad: list[BadKey] = []
    problems: list[str] = []
    for name, options in users.items():
        found = keys_in("\n".join(options.authorized_keys))
        bad += [BadKey(name, "authorized_keys", problem) for problem in found.problems]
        keys = found.keys
        file = options.authorized_keys_file
        if file is not None:
            try:
                found = _keys_in_file(file, sources)
            except OSError as error:
                problems.append(
                    f"users.{name}.authorized_keys_file = {str(file)!r}: {error.strerror or error}"
                )
                continue
            keys = (*keys, *found.keys)
            bad += [BadKey(name, str(file), problem) for problem in found.problems]
        accounts[name] = Account(_identity(name, options), options.password_hash, keys)
    if problems:
        raise ConfigurationError(problems)
    return Logins(accounts, bad)


def _identity(user: str, options: UserOptions) -> Identity:
    return Identity(
        user,
        options.prefix_of(user),
        options.read_only,
        options.directories,
        MappingProxyType(dict(options.attributes)) if options.attributes else _NONE,
    )


def _keys_in_file(file: Path, sources: SourceFiles | None) -> FoundKeys:
    """The keys in a file, of which only enough is read to detect that it is too long.

    Raises OSError: if the file cannot be read.
    """
    if sources is not None:
        sources.note(file)
    if stat.S_ISFIFO(os.stat(file).st_mode):
        raise OSError(errno.ESPIPE, "is a pipe; it should be a file, which can be read again")
    with file.open("rb") as stream:
        return keys_in(stream.read(MAX_BYTES + 1), str(file))


def log_account_problems(
    logins: Logins, among: Collection[str] | None = None, *, has_other_users: bool = False
) -> None:
    """Log the keys that cannot be used, and the users who have no other credentials.

    With `among`, only for those users; then also log if no user is left who can log in.
    `has_other_users`: a source beside the configuration has users too.
    """
    told: Counter[str] = Counter()
    for each in logins.bad_keys:
        if among is not None and each.user not in among:
            continue
        told[each.user] += 1
        if told[each.user] <= _MAX_TOLD:
            _log.warning(
                "key.unusable",
                user=each.user,
                source=each.source,
                line=each.problem.line,
                problem=each.problem.problem,
                advice=each.problem.advice or None,
            )
    for name, count in told.items():
        if count > _MAX_TOLD:
            _log.warning("key.unusable_omitted", user=name, suppressed=count - _MAX_TOLD)
    locked_out = logins.locked_out()
    for name in locked_out:
        if among is None or name in among:
            _log.warning("user.locked_out", user=name, reason="no usable key and no password")
    if len(locked_out) == len(logins.accounts) and not has_other_users:
        _log.error("login.impossible", users=len(locked_out))
