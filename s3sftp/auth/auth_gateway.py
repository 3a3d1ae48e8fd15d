"""Calls the application's authenticator such that its behaviour cannot be observed from outside.

The authenticator may be fast for unknown names, slow for wrong passwords, hang, or raise: every refusal looks
alike and takes equally long. Its failures go to the log, for the operator alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

import asyncssh

from s3sftp.auth.authenticator import Authenticator
from s3sftp.auth.certificates import Certificate, require_valid
from s3sftp.auth.identity import Identity
from s3sftp.auth.login_methods import Factor, Factors
from s3sftp.auth.login_time import login_time
from s3sftp.auth.options import AuthOptions
from s3sftp.auth.refusal_timing import RefusalTiming
from s3sftp.auth.revocation_file import RevocationFile
from s3sftp.auth.revocations import BadRevocations, Revocations
from s3sftp.errors import LoginRefused, UsersUnavailable
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.auth")
NOT_FROM_HERE = "nobody may log in from this address (auth.networks)"
Question = Callable[[], Awaitable[Identity | None]]
_KEYS_SHARE = 10
"""The refusal of a key takes a tenth of the time of a refused password: agents offer all keys that they hold.
"""


@dataclass(frozen=True, slots=True)
class AuthResult:
    """The identity if the login succeeded, else None."""

    identity: Identity | None
    broken: bool = False
    """The authenticator failed to answer: the login is refused, but the failure does not count against the
    client."""
    reason: str | None = None
    """Why it was refused, for the operator, if that is known."""
    is_by_rule: bool = False
    """The credential is right: a rule is against the login, or the factor is not what comes next."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    user: str
    factor: Factor
    address: str
    proven: Factors
    is_change: bool = False
    """It comes with a request to change the password."""


class AuthGateway:
    """An authenticator as the listener uses it."""

    def __init__(self, authenticator: Authenticator, options: AuthOptions) -> None:
        self._authenticator = authenticator
        self._revoked = RevocationFile(options.revoked_keys)
        self._limit = options.answer_timeout.total_seconds()
        self._networks = options.networks
        step = options.refusal_time.total_seconds()
        self._passwords = RefusalTiming(step)
        self._keys = RefusalTiming(step / _KEYS_SHARE)

    @property
    def accepts_passwords(self) -> bool:
        return self._authenticator.accepts_passwords

    @property
    def accepts_public_keys(self) -> bool:
        return self._authenticator.accepts_public_keys

    @property
    def accepts_codes(self) -> bool:
        # an authenticator need not be a subclass, and those of before have no codes
        return bool(getattr(self._authenticator, "accepts_codes", False))

    async def password(self, user: str, password: str, address: str, proven: Factors = ()) -> AuthResult:
        """`Authenticator.by_password`; never raises because of the authenticator.

        Refused as well if the password does not continue what has been `proven`, or a rule is against it.
        """
        asked = self._authenticator.by_password
        attempt = _Attempt(user, "password", address, proven)
        return await self._ask(lambda: asked(user, password, address), self._passwords, attempt)

    async def old_password(self, user: str, password: str, address: str) -> AuthResult:
        """The same for the password that comes with a request to change it, which is always refused: a right
        password takes as long as a wrong one, so that the request tells nobody which it is."""
        asked = self._authenticator.by_password
        attempt = _Attempt(user, "password", address, (), is_change=True)
        return await self._ask(lambda: asked(user, password, address), self._passwords, attempt)

    async def code(self, user: str, code: str, address: str, proven: Factors) -> AuthResult:
        """The same for `Authenticator.by_code`."""
        attempt = _Attempt(user, "totp", address, proven)
        # an authenticator may ask for codes and lack the method that verifies them: a failure of its own
        return await self._ask(
            lambda: self._authenticator.by_code(user, code, address), self._passwords, attempt
        )

    async def no_password(self) -> None:
        """Take as long as a refused password, for passwords that need not reach the authenticator."""
        await asyncio.sleep(self._passwords.refusal_seconds)

    async def public_key(
        self, user: str, key: asyncssh.SSHKey, address: str, proven: Factors = ()
    ) -> AuthResult:
        """The same for `Authenticator.by_public_key`, and for a key that is not revoked."""

        async def question() -> Identity | None:
            identity = await self._authenticator.by_public_key(user, key, address)
            await self._unless_revoked(identity, lambda revoked: revoked.why_key(key.public_data))
            return identity

        return await self._ask(question, self._keys, _Attempt(user, "publickey", address, proven))

    async def certificate(
        self,
        user: str,
        certificate: Certificate,
        address: str,
        algorithms: Collection[str],
        proven: Factors = (),
    ) -> AuthResult:
        """The same for `Authenticator.by_certificate`, and for a certificate that is valid, signed with one
        of `algorithms`, and not revoked. It is the factor `publickey`."""

        async def question() -> Identity | None:
            require_valid(certificate, address, login_time(), algorithms)
            identity = await self._authenticator.by_certificate(user, certificate, address)
            await self._unless_revoked(identity, lambda revoked: revoked.why_certificate(certificate))
            return identity

        return await self._ask(question, self._keys, _Attempt(user, "publickey", address, proven))

    async def no_key(self) -> None:
        """Take as long as a refused key, for keys that need not reach the authenticator."""
        await asyncio.sleep(self._keys.refusal_seconds)

    async def _unless_revoked(
        self, identity: Identity | None, why: Callable[[Revocations], str | None]
    ) -> None:
        """Return if the credential that proves `identity` is not revoked.

        Raises LoginRefused: if it is.
        Raises BadRevocations: if nobody knows.
        """
        if identity is not None and (reason := why(await self._revoked.current())) is not None:
            raise LoginRefused(reason)

    async def _ask(self, question: Question, evenness: RefusalTiming, attempt: _Attempt) -> AuthResult:
        clock = asyncio.get_running_loop().time
        began = clock()
        answer = await self._answer_to(question, attempt.user)
        if answer.identity is not None and (reason := self._objection(answer.identity, attempt)) is not None:
            answer = AuthResult(None, reason=reason, is_by_rule=True)
        evenness.took(clock() - began, clock())
        if answer.identity is None:
            await asyncio.sleep(began + evenness.refusal_seconds - clock())
        return answer

    def _objection(self, identity: Identity, attempt: _Attempt) -> str | None:
        """Why a right credential is not enough, or not allowed."""
        if attempt.is_change:
            return "the client asks to change the password, which is not possible here"
        if self._networks is not None and not self._networks.allow(attempt.address):
            return NOT_FROM_HERE
        if (refusal := identity.login_rules.refusal(attempt.address, login_time())) is not None:
            return refusal
        if not identity.login_methods.may_follow(attempt.proven, attempt.factor):
            return f"{attempt.factor} is not what comes next in {identity.login_methods.text}"
        return None

    async def _answer_to(self, question: Question, user: str) -> AuthResult:
        try:
            async with asyncio.timeout(self._limit):
                identity = await question()
            if identity is not None:
                identity.tree()  # raises if it cannot be used
        except LoginRefused as refused:
            return AuthResult(None, reason=str(refused))
        except BadRevocations as error:  # which has been logged
            return AuthResult(None, broken=True, reason=str(error))
        except TimeoutError:
            _log.error("authenticator.timed_out", user=user, limit=self._limit)
        except UsersUnavailable:
            pass  # the source of users has logged it
        except Exception:
            _log.exception("authenticator.failed", user=user)
        else:
            return AuthResult(identity)
        return AuthResult(None, broken=True)
