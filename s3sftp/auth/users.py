"""Users from the configuration: passwords and public keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import asyncssh

from s3sftp.auth.authorized_keys import AuthorizedKey, KeyProblem, keys_in
from s3sftp.auth.identity import Identity
from s3sftp.auth.key_texts import MAX_BYTES
from s3sftp.auth.options import AuthOptions, UserOptions
from s3sftp.auth.passwords import PasswordVerifier
from s3sftp.errors import ConfigurationError
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.auth")
_MAX_TOLD = 20
"""Keys of one user that have a line in the log each."""


class ConfiguredUsers:
    """An Authenticator over the `[users.NAME]` tables."""

    def __init__(
        self, users: Mapping[str, UserOptions], options: AuthOptions, *, tells_of_keys: bool = True
    ) -> None:
        """Reads the files of keys, and logs which keys cannot be used, unless somebody else does.

        Raises ConfigurationError with every file that cannot be read.
        """
        self._users = dict(users)
        read = read_keys(users)
        self._keys = read.keys
        if tells_of_keys:
            tell_what_is_wrong(users, read)
        hashes = [user.password_hash for user in users.values() if user.password_hash]
        self._passwords = PasswordVerifier(hashes, options.password_threads)
        self._any_password = bool(hashes)
        if self._passwords.kinds > 1:
            _log.warning(
                "password hashes differ in cost",
                advice="hash them all alike, or the time of an answer may tell whether a user exists",
            )

    @property
    def accepts_passwords(self) -> bool:
        return self._any_password

    @property
    def accepts_public_keys(self) -> bool:
        return any(self._keys.values())

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        options = self._users.get(user)
        fits = await self._passwords.verify(options.password_hash if options else None, password)
        return _identity(user, options) if fits and options is not None else None

    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        options = self._users.get(user)
        now = datetime.now(UTC)
        fits = any(entry.opens(key, address, now) for entry in self._keys.get(user, ()))
        return _identity(user, options) if fits and options is not None else None

    def close(self) -> None:
        """Let go of the threads."""
        self._passwords.close()


def _identity(user: str, options: UserOptions) -> Identity:
    return Identity(
        user,
        options.prefix_of(user),
        options.read_only,
        options.directories,
        MappingProxyType(dict(options.attributes)),
    )


@dataclass(frozen=True, slots=True)
class BadKey:
    """A key of a user that cannot be used."""

    user: str
    source: str
    """The file, or the option, that it is in."""
    problem: KeyProblem


@dataclass(frozen=True, slots=True)
class UserKeys:
    """The keys of all users."""

    keys: Mapping[str, Sequence[AuthorizedKey]]
    bad: Sequence[BadKey]

    def locked_out(self, users: Mapping[str, UserOptions]) -> list[str]:
        """Who has neither a key that can be used nor a password."""
        return [name for name, user in users.items() if not (self.keys[name] or user.password_hash)]


def read_keys(users: Mapping[str, UserOptions]) -> UserKeys:
    """The keys of each user, files included. Raises ConfigurationError with each file that cannot be read."""
    keys: dict[str, Sequence[AuthorizedKey]] = {}
    bad: list[BadKey] = []
    problems = []
    for name, options in users.items():
        found = keys_in("\n".join(options.authorized_keys))
        bad += [BadKey(name, "authorized_keys", problem) for problem in found.problems]
        keys[name] = found.keys
        file = options.authorized_keys_file
        if file is None:
            continue
        try:
            found = keys_in(_start_of(file), str(file))
        except OSError as error:
            problems.append(f"users.{name}.authorized_keys_file = {str(file)!r}: {error.strerror or error}")
        else:
            keys[name] = (*keys[name], *found.keys)
            bad += [BadKey(name, str(file), problem) for problem in found.problems]
    if problems:
        raise ConfigurationError(problems)
    return UserKeys(keys, bad)


def _start_of(file: Path) -> bytes:
    """As much of a file as shows whether it is too long."""
    with file.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def tell_what_is_wrong(users: Mapping[str, UserOptions], read: UserKeys) -> None:
    """Tell the operator of the keys that cannot be used, and of the users who have no other."""
    told: Counter[str] = Counter()
    for each in read.bad:
        told[each.user] += 1
        if told[each.user] <= _MAX_TOLD:
            _log.warning(
                "key cannot be used",
                user=each.user,
                source=each.source,
                line=each.problem.line,
                problem=each.problem.problem,
                advice=each.problem.advice or None,
            )
    for name, count in told.items():
        if count > _MAX_TOLD:
            _log.warning("more keys cannot be used", user=name, untold=count - _MAX_TOLD)
    locked_out = read.locked_out(users)
    for name in locked_out:
        _log.warning("user cannot log in", user=name, reason="no key that can be used, and no password")
    if users and len(locked_out) == len(users):
        _log.error("nobody can log in", users=len(users))
