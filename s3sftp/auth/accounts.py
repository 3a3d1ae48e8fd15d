"""Builds the accounts that logins need from the users' tables and the key files that these name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from s3sftp.auth.authorized_keys import AuthorizedKey, KeyProblem, keys_in
from s3sftp.auth.identity import Identity
from s3sftp.auth.key_files import read_key_file
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
    """The user's keys, and the CAs that may certify keys for the user."""
    totp_secret: str | None = field(default=None, repr=False)
    """For verification codes, in base32."""

    @property
    def can_log_in(self) -> bool:
        """Whether the user has the credentials for any of the required combinations."""
        has = {
            "publickey": bool(self.keys),  # a CA may certify one
            "password": bool(self.password_hash),
            "totp": bool(self.totp_secret),
        }
        return any(all(has[factor] for factor in each) for each in self.identity.login_methods.combinations)

    @property
    def is_disabled(self) -> bool:
        """Whether the operator has disabled the user, who then needs no credentials."""
        return self.identity.login_rules.disabled

    @property
    def lack(self) -> str:
        """What is missing if the user cannot log in."""
        if not (self.keys or self.password_hash):
            return "no key that can be used, no trusted CA, and no password"
        return f"the credentials are not enough for {self.identity.login_methods.text}"


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
class UnusedGroup:
    """A group that no user has: often a misspelt name, or what a removed user has left."""

    name: str
    source: str | None
    """The file and the line."""


@dataclass(frozen=True, slots=True)
class Logins:
    """All users, and what about them is no error, but may not be meant."""

    accounts: Accounts
    bad_keys: Sequence[BadKey] = ()
    unused_groups: Sequence[UnusedGroup] = ()

    def locked_out(self) -> list[str]:
        """Users without the credentials that a login needs."""
        return [name for name, account in self.accounts.items() if not account.can_log_in]


def read_logins(
    users: Mapping[str, UserOptions],
    sources: SourceFiles | None = None,
    authorities: tuple[AuthorizedKey, ...] = (),
    where: Callable[[str, str], str | None] = lambda _user, _option: None,
) -> Logins:
    """The users with their keys, including those in key files. Files that are read are recorded in `sources`.
    `where` tells where a user's option was written.

    `authorities` are the CAs that are trusted for all users (`read_authorities`).

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
                found = read_key_file(file, sources)
            except OSError as error:
                place = where(name, "authorized_keys_file")
                problems.append(
                    f"users.{name}.authorized_keys_file = {str(file)!r}{f' ({place})' if place else ''}: "
                    f"cannot read it: {error.strerror or error}"
                )
                continue
            keys = (*keys, *found.keys)
            bad += [BadKey(name, str(file), problem) for problem in found.problems]
        keys = (*keys, *_certifying(authorities, options.principals))
        secret = options.totp_secret.get_secret_value() if options.totp_secret else None
        accounts[name] = Account(identity_of(name, options), options.password_hash, keys, secret)
    if problems:
        raise ConfigurationError(problems)
    return Logins(accounts, bad)


def identity_of(user: str, options: UserOptions) -> Identity:
    """The identity that a user's table describes."""
    return Identity(
        user,
        options.root_of(user),
        options.read_only,
        options.directories,
        MappingProxyType(dict(options.attributes)) if options.attributes else _NONE,
        options.rules,
        options.mounts_of(user),
        tuple((path, access.rules) for path, access in options.paths.items()),
        login_rules=options.login_rules,
        login_methods=options.login_methods,
        limits=options.limits.limits,
        quota=options.quota.quota,
    )


def _certifying(
    authorities: tuple[AuthorizedKey, ...], principals: tuple[str, ...] | None
) -> tuple[AuthorizedKey, ...]:
    """The trusted CAs as entries of a user with these principals: None for the user's name alone."""
    if principals is None:
        return authorities
    return tuple(replace(each, principals=principals) for each in authorities) if principals else ()


def log_unused_groups(groups: Iterable[UnusedGroup]) -> None:
    """Log the groups that no user has."""
    for group in groups:
        _log.warning("group.unused", group=group.name, source=group.source)


def log_account_problems(
    logins: Logins, among: Collection[str] | None = None, *, has_other_users: bool = False
) -> None:
    """Log the keys that cannot be used, the users who have no other credentials, and groups without users.

    With `among`, only for those users, and no groups; then also log if no user is left who can log in.
    `has_other_users`: a source beside the configuration has users too.
    """
    if among is None:
        log_unused_groups(logins.unused_groups)
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
    for name, account in logins.accounts.items():
        if (among is None or name in among) and not account.can_log_in and not account.is_disabled:
            _log.warning("user.locked_out", user=name, reason=account.lack)
    if not has_other_users and not any(account.can_log_in for account in logins.accounts.values()):
        _log.error("login.impossible", users=len(logins.accounts))
