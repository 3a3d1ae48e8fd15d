"""Authenticates the users of the configuration by password and public key."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import asyncssh

from s3sftp.auth.accounts import Accounts
from s3sftp.auth.identity import Identity
from s3sftp.auth.options import AuthOptions
from s3sftp.auth.passwords import DummyHash, PasswordVerifier
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.auth")


class ConfiguredUsers:
    """An Authenticator over the `[users.NAME]` tables, which may change while it is in use.

    A login looks up one name, so its cost does not depend on the number of users.
    """

    def __init__(self, accounts: Accounts, options: AuthOptions) -> None:
        self._accounts: Accounts = {}
        self._any_password = self._any_key = False
        self._passwords = PasswordVerifier(_nobody_among(accounts), options.password_threads)
        self._take(accounts)

    @property
    def accounts(self) -> Accounts:
        """The current users."""
        return self._accounts

    async def replace(self, accounts: Accounts) -> None:
        """Replace all users at once. Takes effect before it returns, also for logins under way."""
        self._passwords.nobody = await asyncio.to_thread(_nobody_among, accounts, self._passwords.nobody)
        self._take(accounts)

    def _take(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._any_password = any(account.password_hash for account in accounts.values())
        self._any_key = any(account.keys for account in accounts.values())

    @property
    def accepts_passwords(self) -> bool:
        return self._any_password

    @property
    def accepts_public_keys(self) -> bool:
        return self._any_key

    async def knows(self, user: str) -> bool:
        """Whether the configuration has this user."""
        return user in self._accounts

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        account = self._accounts.get(user)
        tried = account.password_hash if account else None
        fits = await self._passwords.verify(tried, password)
        # users may have changed while the password was verified
        account = self._accounts.get(user)
        return account.identity if fits and account and account.password_hash == tried else None

    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        account = self._accounts.get(user)
        now = datetime.now(UTC)
        fits = any(entry.opens(key, address, now) for entry in (account.keys if account else ()))
        return account.identity if fits and account else None

    def close(self) -> None:
        """Stop the threads."""
        self._passwords.close()


def _nobody_among(accounts: Accounts, before: DummyHash | None = None) -> DummyHash:
    """A hash to verify unknown users' passwords against, as expensive as most of the users' own hashes."""
    hashes = [account.password_hash for account in accounts.values() if account.password_hash]
    nobody = DummyHash.among(hashes, before)
    if nobody.kinds > 1 and (before is None or before.kinds <= 1):
        _log.warning(
            "users.hash_costs_differ",
            advice="hash all passwords with the same parameters: otherwise the response time may reveal "
            "whether a user exists",
        )
    return nobody
