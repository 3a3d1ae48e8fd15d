"""Authenticates the users of the configuration by password, public key, certificate and verification
code."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import asyncssh

from s3sftp.auth.accounts import Accounts
from s3sftp.auth.authorized_keys import AuthorizedKey
from s3sftp.auth.bans import BanPolicy, Bans
from s3sftp.auth.certificates import Certificate
from s3sftp.auth.identity import Identity
from s3sftp.auth.login_time import login_time
from s3sftp.auth.options import AuthOptions
from s3sftp.auth.passwords import DummyHash, PasswordVerifier
from s3sftp.auth.totp import step_of
from s3sftp.auth.trusted_authorities import require_certified
from s3sftp.auth.used_codes import UsedCodes
from s3sftp.errors import LoginRefused
from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.auth")
_MOST_WRONG_CODES = 10
_WRONG_CODES_SECONDS = 3600.0
"""Whoever has the first factor could guess codes from many addresses (RFC 4226, 7.3): after so many wrong
codes of one user within this time, all codes of that user are refused for the same time."""
_WRONG_CODES_POLICY = BanPolicy(
    threshold=_MOST_WRONG_CODES,
    window_seconds=_WRONG_CODES_SECONDS,
    first_seconds=_WRONG_CODES_SECONDS,
    max_seconds=_WRONG_CODES_SECONDS,
    memory_seconds=0.0,
)


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
        self._used_codes = UsedCodes(used_codes)
        self._wrong_codes = Bans(_WRONG_CODES_POLICY)
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

    async def knows(self, user: str) -> bool:
        """Whether the configuration has this user."""
        return user in self._accounts

    async def keys_of(self, user: str, address: str) -> Sequence[AuthorizedKey]:
        """The keys that open the account, and the CAs that certify keys for it, for whoever explains a
        refusal to the operator."""
        account = self._accounts.get(user)
        return account.keys if account else ()

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        account = self._accounts.get(user)
        tried = account.password_hash if account else None
        fits = await self._passwords.verify(tried, password)
        # users may have changed while the password was verified
        account = self._accounts.get(user)
        return account.identity if fits and account and account.password_hash == tried else None

    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        account = self._accounts.get(user)
        now = login_time()
        fits = any(entry.opens(key, address, now) for entry in (account.keys if account else ()))
        return account.identity if fits and account else None

    async def by_certificate(self, user: str, certificate: Certificate, address: str) -> Identity | None:
        account = self._accounts.get(user)
        if account is None:
            raise LoginRefused("there is no such user")
        require_certified(user, account.keys, certificate, address, login_time())
        return account.identity

    async def by_code(self, user: str, code: str, address: str) -> Identity | None:
        account = self._accounts.get(user)
        now = time.monotonic()
        if account is None or account.totp_secret is None or self._wrong_codes.banned(user, now):
            return None
        step = step_of(account.totp_secret, code, login_time().timestamp())
        if step is None:
            if self._wrong_codes.count(user, "code", 1, now) is not None:
                _log.warning(
                    "user.codes_refused", user=user, failures=_MOST_WRONG_CODES, seconds=_WRONG_CODES_SECONDS
                )
            return None
        # a code that was used before is no guess: some clients log in twice with one
        return account.identity if self._used_codes.use(account.totp_secret, step) else None

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
