"""Authenticates the users of the configuration by password, public key, certificate and verification
code."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncssh

from s3sftp.auth.account_verifier import AccountVerifier
from s3sftp.auth.accounts import Account, Accounts
from s3sftp.auth.authorized_keys import AuthorizedKey
from s3sftp.auth.certificates import Certificate
from s3sftp.auth.identity import Identity
from s3sftp.auth.options import AuthOptions
from s3sftp.auth.origins import identity_of_source
from s3sftp.auth.passwords import DummyHash
from s3sftp.auth.used_codes import UsedCodes
from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.auth")


class ConfiguredUsers:
    """An Authenticator over the `[users.NAME]` tables, which may change while it is in use.

    A login looks up one name, so its cost does not depend on the number of users.
    """

    source_name = "the configuration"

    def __init__(
        self, accounts: Accounts, options: AuthOptions, used_codes: SharedCounters | None = None
    ) -> None:
        """`used_codes`: a table that the workers of a server share. None: one of this process."""
        self._accounts: Accounts = {}
        self._any_password = self._any_key = self._any_code = False
        self.verifier = AccountVerifier(
            _nobody_among(accounts), options.password_threads, UsedCodes(used_codes)
        )
        """Verifies the credentials, also of other sources' users."""
        self._take(accounts)

    @property
    def accounts(self) -> Accounts:
        """The current users."""
        return self._accounts

    async def replace(self, accounts: Accounts) -> None:
        """Replace all users at once. Takes effect before it returns, also for logins under way."""
        self.verifier.nobody = await asyncio.to_thread(_nobody_among, accounts, self.verifier.nobody)
        self._take(accounts)

    def _take(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._any_password = any(account.password_hash for account in accounts.values())
        self._any_key = any(account.keys for account in accounts.values())
        self._any_code = any(account.totp_secret for account in accounts.values())

    @property
    def accepts_passwords(self) -> bool:
        return self._any_password

    @property
    def accepts_public_keys(self) -> bool:
        return self._any_key

    @property
    def accepts_codes(self) -> bool:
        return self._any_code

    async def source_of(self, user: str) -> ConfiguredUsers | None:
        """This source, if the configuration has the user."""
        return self if user in self._accounts else None

    async def keys_of(self, user: str, address: str) -> Sequence[AuthorizedKey]:
        """The keys that open the account, and the CAs that certify keys for it, for whoever explains a
        refusal to the operator."""
        account = self._accounts.get(user)
        return account.keys if account else ()

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        account = self._accounts.get(user)
        tried = account.password_hash if account else None
        fits = await self.verifier.password(account, password)
        # users may have changed while the password was verified
        account = self._accounts.get(user)
        return self._identity(account) if fits and account and account.password_hash == tried else None

    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        account = self._accounts.get(user)
        fits = self.verifier.public_key(account, key, address)
        return self._identity(account) if fits and account else None

    async def by_certificate(self, user: str, certificate: Certificate, address: str) -> Identity | None:
        account = self._accounts.get(user)
        self.verifier.certificate(account, user, certificate, address)
        return self._identity(account) if account else None

    async def by_code(self, user: str, code: str, address: str) -> Identity | None:
        account = self._accounts.get(user)
        tried = account.totp_secret if account else None
        fits = await self.verifier.code(account, user, code)
        # users may have changed while other replicas' codes were looked up
        account = self._accounts.get(user)
        return self._identity(account) if fits and account and account.totp_secret == tried else None

    def _identity(self, account: Account) -> Identity:
        return identity_of_source(self.source_name, account)

    def close(self) -> None:
        """Stop the threads."""
        self.verifier.close()


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
