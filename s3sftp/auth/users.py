"""Users from the configuration: passwords and public keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

import asyncssh

from s3sftp.auth.authorized_keys import AuthorizedKey, parse_lines
from s3sftp.auth.identity import Identity
from s3sftp.auth.options import AuthOptions, UserOptions
from s3sftp.auth.passwords import PasswordVerifier
from s3sftp.errors import ConfigurationError
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.auth")


class ConfiguredUsers:
    """An Authenticator over the `[users.NAME]` tables."""

    def __init__(self, users: Mapping[str, UserOptions], options: AuthOptions) -> None:
        """Reads the files of keys. Raises ConfigurationError with every one that cannot be used."""
        self._users = dict(users)
        self._keys = read_keys(users)
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


def read_keys(users: Mapping[str, UserOptions]) -> dict[str, list[AuthorizedKey]]:
    """The keys of each user, files included. Raises ConfigurationError with every unusable file."""
    keys: dict[str, list[AuthorizedKey]] = {}
    problems = []
    for name, options in users.items():
        keys[name] = parse_lines(options.authorized_keys)
        file = options.authorized_keys_file
        if file is None:
            continue
        try:
            found = parse_lines(file.read_text("utf-8").splitlines())
        except OSError as error:
            problems.append(f"users.{name}.authorized_keys_file = {str(file)!r}: {error.strerror or error}")
        except ValueError as error:
            problems.append(f"users.{name}.authorized_keys_file = {str(file)!r}: {error}")
        else:
            keys[name] += found
            if not found:
                problems.append(f"users.{name}.authorized_keys_file = {str(file)!r}: has no keys in it")
    if problems:
        raise ConfigurationError(problems)
    return keys
