"""Verifies the credentials of accounts: passwords, keys, certificates and verification codes.

One verifier serves all sources whose users' credentials are verified here, so that they share the threads for
passwords and the memory of used codes. An unknown user is verified too, as None, at the cost of a known one.
"""

from __future__ import annotations

import time

import asyncssh

from s3sftp.auth.accounts import Account
from s3sftp.auth.authorized_keys import any_opens
from s3sftp.auth.bans import BanPolicy, Bans
from s3sftp.auth.certificates import Certificate
from s3sftp.auth.login_time import login_time
from s3sftp.auth.passwords import DummyHash, PasswordVerifier
from s3sftp.auth.totp import step_of
from s3sftp.auth.trusted_authorities import require_certified
from s3sftp.auth.used_codes import CodeRegister, UsedCodes
from s3sftp.errors import LoginRefused
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


class AccountVerifier:
    """Verifies what a client has sent against an account; None: there is no such user."""

    def __init__(self, nobody: DummyHash, threads: int, used_codes: UsedCodes) -> None:
        """`threads` is how many passwords are verified at once."""
        self._passwords = PasswordVerifier(nobody, threads)
        self._used_codes = used_codes
        self.shared_codes: CodeRegister | None = None
        """The codes that replicas have accepted; None: this server is the only one, or shares nothing."""
        self._wrong_codes = Bans(_WRONG_CODES_POLICY)

    @property
    def nobody(self) -> DummyHash:
        """The hash that is verified for unknown users. May be replaced at any time."""
        return self._passwords.nobody

    @nobody.setter
    def nobody(self, nobody: DummyHash) -> None:
        self._passwords.nobody = nobody

    async def password(self, account: Account | None, password: str) -> bool:
        """Whether this is the account's password."""
        return await self._passwords.verify(account.password_hash if account else None, password)

    def public_key(self, account: Account | None, key: asyncssh.SSHKey, address: str) -> bool:
        """Whether this key opens the account from this address now."""
        return any_opens(account.keys if account else (), key, address)

    def certificate(self, account: Account | None, user: str, certificate: Certificate, address: str) -> None:
        """Return if this certificate opens the user's account from this address now.

        Raises LoginRefused: if it does not.
        """
        if account is None:
            raise LoginRefused("there is no such user")
        require_certified(user, account.keys, certificate, address, login_time())

    async def code(self, account: Account | None, user: str, code: str) -> bool:
        """Whether this is a code of the user that is valid now and has not been used, which uses it.

        Raises UsersUnavailable: if nobody knows whether another replica has accepted it; it is not used then.
        """
        now = time.monotonic()
        if account is None or account.totp_secret is None or self._wrong_codes.banned(user, now):
            return False
        step = step_of(account.totp_secret, code, login_time().timestamp())
        if step is None:
            if self._wrong_codes.count(user, "code", 1, now) is not None:
                _log.warning(
                    "user.codes_refused", user=user, failures=_MOST_WRONG_CODES, seconds=_WRONG_CODES_SECONDS
                )
            return False
        # a code that was used before is no guess: some clients log in twice with one
        if self.shared_codes is not None and not await self.shared_codes.use(account.totp_secret, step):
            return False
        return self._used_codes.use(account.totp_secret, step)

    def close(self) -> None:
        """Stop the threads."""
        self._passwords.close()
