"""An authenticator over a dictionary of users, for development and tests."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import asyncssh

from s3sftp.auth.authenticator import Authenticator
from s3sftp.auth.authorized_keys import AuthorizedKey, any_opens, keys_in
from s3sftp.auth.identity import Identity
from s3sftp.errors import ConfigurationError
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.auth")


@dataclass(frozen=True, slots=True)
class StaticUser:
    """One user. Without a password or keys, that method cannot be used to log in."""

    password: str | None = field(default=None, repr=False)
    authorized_keys: Sequence[str] = ()
    """Lines in OpenSSH's authorized_keys format, or RFC 4716 or PEM blocks."""
    prefix: str = ""
    """The prefix that the user sees as `/`, such as `"alice/"`; empty for the whole storage."""
    read_only: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Attributes for the user's sessions, such as a tenant id."""


class StaticUsers(Authenticator):
    """An Authenticator over a dictionary: `StaticUsers({"alice": "password", "bob": StaticUser(…)})`.

    Passwords are stored in plain text in the program and its memory, so the log warns that this is for
    development.
    """

    def __init__(self, users: Mapping[str, str | StaticUser]) -> None:
        """Raises ConfigurationError: if keys cannot be used; lists each such line."""
        self._users = {
            name: StaticUser(user) if isinstance(user, str) else user for name, user in users.items()
        }
        self._keys = _keys_of(self._users)
        self._nobody = secrets.token_hex()
        _log.warning(
            "users.static",
            users=len(self._users),
            advice="StaticUsers is for development and tests: the program holds the passwords in clear text",
        )

    @property
    def accepts_passwords(self) -> bool:
        return any(user.password is not None for user in self._users.values())

    @property
    def accepts_public_keys(self) -> bool:
        return any(self._keys.values())

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        known = self._users.get(user)
        expected = known.password if known is not None else None
        fits = hmac.compare_digest(_bytes(password), _bytes(self._nobody if expected is None else expected))
        return _identity(user, known) if fits and known is not None and expected is not None else None

    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        known, fits = self._users.get(user), any_opens(self._keys.get(user, ()), key, address)
        return _identity(user, known) if fits and known is not None else None


def _identity(name: str, user: StaticUser) -> Identity:
    return Identity(name, user.prefix, user.read_only, attributes=dict(user.attributes))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _keys_of(users: Mapping[str, StaticUser]) -> dict[str, Sequence[AuthorizedKey]]:
    keys: dict[str, Sequence[AuthorizedKey]] = {}
    problems = []
    for name, user in users.items():
        found = keys_in("\n".join(user.authorized_keys))
        keys[name] = found.keys
        problems += [f"user {name}: authorized_keys: {problem}" for problem in found.problems]
    if problems:
        raise ConfigurationError(problems)
    return keys
