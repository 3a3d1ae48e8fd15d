"""The login of one connection: its attempts, their limits, and the identity that it ends with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncssh
from asyncssh.saslprep import SASLPrepError, saslprep

from s3sftp.auth import (
    AuthGateway,
    AuthResult,
    Certificate,
    Factor,
    Identity,
    Offence,
    parse_certificate,
)
from s3sftp.errors import LoginRefused
from s3sftp.ssh.admission_gate import AdmittedConnection, Peer
from s3sftp.ssh.algorithms import advice_for
from s3sftp.ssh.asyncssh_internals import MOST_LOGIN_BYTES, NO_TEXT
from s3sftp.ssh.login_steps import LoginStep, LoginSteps
from s3sftp.ssh.options import SshOptions
from s3sftp.ssh.signature_algorithms import require_verified_user, verify_only
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.event_tap import tap
from s3sftp.telemetry.metric_catalogue import LOGINS
from s3sftp.telemetry.metrics import Metrics

_log = get_logger("s3sftp.ssh")
_PASSWORD_QUESTION = "Password: "  # noqa: S105 (the prompt)
_CODE_QUESTION = "Verification code: "
_NOT_TRIED = "too many wrong passwords for this user name: this one was not tried"
_WRONG_CODE = "the verification code is wrong, or was used before"
_INTERACTIVE = "keyboard-interactive"


@dataclass(frozen=True, slots=True)
class LoginProof:
    """An identity, and the credentials that prove it."""

    identity: Identity
    steps: tuple[LoginStep, ...]

    @property
    def method(self) -> str:
        """The SSH methods in their order, joined by `+`."""
        return "+".join(step.method for step in self.steps)

    @property
    def last_method(self) -> str:
        """The SSH method that completed the login."""
        return self.steps[-1].method

    @property
    def fingerprint(self) -> str | None:
        """The fingerprint of the public key, in the format of `ssh-keygen -l`."""
        return next((step.fingerprint for step in self.steps if step.fingerprint), None)

    @property
    def certificate(self) -> Certificate | None:
        """The certificate for this key, if that is what opens the account."""
        return next((step.certificate for step in self.steps if step.certificate), None)


TellLogin = Callable[[bool, str, str, Mapping[str, Any]], None]
"""Tells other systems of a login: whether it succeeded, the user's name, the peer, and what else is known."""


def tell_nobody(succeeded: bool, user: str, peer: str, facts: Mapping[str, Any]) -> None:
    """A `TellLogin` without other systems."""


class Login:
    """Authenticates one connection, counts its failures, and ends it after too many attempts.

    These failures count towards the source's ban: each wrong password or code, by whatever method, and one
    for a connection that closed without a login after it had offered keys or proven only some of the factors.
    Keys count less because agents offer all that they hold.
    """

    def __init__(
        self,
        auth: AuthGateway,
        limits: SshOptions,
        connection_id: str,
        metrics: Metrics,
        tell: TellLogin = tell_nobody,
    ) -> None:
        self._count = metrics.add
        self._tell = tell
        self._peer = ""
        self._auth = auth
        self._limits = limits
        self._connection_id = connection_id
        self._names = 0
        self._questions = 0
        self._passwords = 0
        """Passwords, codes and cancelled questions."""
        self._keys = 0
        self._unanswered = False
        """Whether the authenticator failed to answer an attempt, which is not the client's fault."""
        self._key_reason: str | None = None
        self._last_key: str | None = None
        """The fingerprint of the last key that was refused."""
        self._address = ""
        self._source = ""
        self._admitted: AdmittedConnection | None = None
        self._steps = LoginSteps()
        self._is_partial = False
        self._has_failed_since = False
        """Whether a failure was counted since the last factor was proven."""
        self._asked_for: Factor = "password"
        self.proof: LoginProof | None = None
        """Set once everything that the login needs is verified; asyncssh then calls `auth_completed`."""

    def set_peer(self, peer: Peer, admitted: AdmittedConnection) -> None:
        self._address, self._source, self._admitted = peer.client_address, peer.source, admitted
        self._peer = peer.shown

    def next_name(self, user: str) -> None:
        """Count that the client tries another user name, and forget what it has proven for others.

        Raises asyncssh.DisconnectError: after too many.
        """
        self._begin(user)
        self._names += 1
        if self._names > self._limits.max_auth_attempts:
            raise _too_many()

    def may_try(self, *factors: Factor) -> bool:
        """Whether any of these factors may come next; any while nothing is proven."""
        return self._steps.may_try(*factors)

    def take_partial_success(self) -> bool:
        """Whether the attempt that is being answered has proven a factor without completing the login."""
        partial, self._is_partial = self._is_partial, False
        return partial

    def question(self) -> str:
        """Count that the client requests a keyboard-interactive prompt, answered or not; returns the prompt.

        Raises asyncssh.DisconnectError: after too many.
        """
        self._questions += 1
        if self._questions > self._limits.max_auth_attempts:
            raise _too_many()
        return self._next_question()

    def following_question(self) -> str | None:
        """What to ask after a right response that does not complete the login; None if there is nothing to
        ask."""
        awaited = self._steps.next_factors
        if not self._is_partial or awaited is None or "totp" not in awaited:
            return None
        self._is_partial = False
        return self._next_question()

    def _next_question(self) -> str:
        awaited = self._steps.next_factors
        self._asked_for = "totp" if awaited and "totp" in awaited else "password"
        return _CODE_QUESTION if self._asked_for == "totp" else _PASSWORD_QUESTION

    async def response(self, user: str, responses: Sequence[str]) -> bool:
        """Whether the single response completes the login; it is prepared and counted as a password or a
        code.

        No response, or several, come from a person who cancels: they count as an attempt of this connection,
        but not as a guess.
        """
        if len(responses) == 1:
            if len(responses[0]) > MOST_LOGIN_BYTES:
                raise asyncssh.ProtocolError("keyboard-interactive response too long")
            if self._asked_for == "totp":
                return await self._code(user, responses[0])
            try:
                password = saslprep(responses[0])
            except SASLPrepError:
                password = NO_TEXT
            return await self.password(user, password, _INTERACTIVE)
        self._passwords += 1
        if self._passwords >= self._limits.max_auth_attempts:
            raise _too_many()
        return False

    async def password(self, user: str, password: str, method: str = "password") -> bool:
        """Whether the password is the user's and completes the login.

        Raises asyncssh.DisconnectError: after too many.
        """
        self._begin(user)
        proven = self._steps.proven
        identity = await self._guess(
            user,
            method,
            lambda: self._auth.password(user, password, self._address, proven),
            is_text=password != NO_TEXT,
        )
        return identity is not None and self._prove(user, identity, LoginStep("password", method))

    async def old_password(self, user: str, password: str) -> None:
        """Check the password that comes with a request to change it. Proves nothing, whatever it is: a right
        one is refused, delayed, and counted like a wrong one.

        Raises asyncssh.DisconnectError: after too many.
        """
        self._begin(user)
        await self._guess(
            user,
            "password",
            lambda: self._auth.old_password(user, password, self._address),
            is_text=password != NO_TEXT,
        )

    async def _code(self, user: str, code: str) -> bool:
        self._begin(user)
        proven = self._steps.proven
        identity = await self._guess(
            user, _INTERACTIVE, lambda: self._auth.code(user, code, self._address, proven), _WRONG_CODE
        )
        return identity is not None and self._prove(user, identity, LoginStep("totp", _INTERACTIVE))

    async def _guess(
        self,
        user: str,
        method: str,
        ask: Callable[[], Awaitable[AuthResult]],
        wrong: str | None = None,
        *,
        is_text: bool = True,
    ) -> Identity | None:
        """Check what could be a guess, and count it if it is wrong. What is no text is wrong without being
        asked about."""
        self._passwords += 1
        if self._passwords > self._limits.max_auth_attempts:
            raise _too_many()
        answer = AuthResult(None)
        banned: asyncio.Future[bool] | None = None
        try:
            if not await self._may_guess(user):
                await self._auth.no_password()
                wrong = _NOT_TRIED
            elif is_text:
                answer = await ask()
            else:
                await self._auth.no_password()
        finally:
            if answer.broken:
                self._unanswered = True
                self._log_unanswered(user, method, answer.reason)
                self._count(LOGINS.row(method, "error"))
            elif answer.identity is None:
                # even if the client does not wait for the answer; otherwise it could guess for free
                banned = self._failed(user, method, Offence.PASSWORD, answer.reason or wrong)
        if answer.identity is None and (
            (banned is not None and await banned) or self._passwords >= self._limits.max_auth_attempts
        ):
            raise _too_many()
        return answer.identity

    async def public_key(self, user: str, key: asyncssh.SSHKey) -> bool:
        """Whether the key opens the user's account. It proves a factor when its signature has been verified.

        Raises asyncssh.DisconnectError: after too many.
        """
        self._key_offered(user)
        answer = await self._auth.public_key(user, key, self._address, self._steps.proven)
        fingerprint = key.get_fingerprint()
        if answer.identity is None:
            self._unanswered |= answer.broken
            self._key_reason = answer.reason or self._key_reason
            self._last_key = fingerprint
            self._key_refused(user, fingerprint, answer)
            return False
        self._prove_once_signed(user, key, answer.identity, LoginStep("publickey", "publickey", fingerprint))
        return True

    async def certificate(self, user: str, data: bytes) -> asyncssh.SSHKey | None:
        """The key of a certificate that opens the user's account, to verify the client's signature with. It
        proves the same factor as a key, and when the same has been verified.

        Raises asyncssh.DisconnectError: after too many.
        """
        self._key_offered(user)
        try:
            certificate = parse_certificate(data)
        except LoginRefused as refused:
            await self._auth.no_key()
            self._certificate_refused(user, None, str(refused))
            return None
        answer = await self._auth.certificate(
            user, certificate, self._address, self._limits.offer.authority_signatures, self._steps.proven
        )
        if answer.identity is None:
            self._unanswered |= answer.broken
            if answer.is_by_rule:
                self._key_reason = answer.reason
            self._certificate_refused(user, certificate, answer.reason)
            return None
        key = certificate.key
        key.set_touch_required(True)
        if certificate.requires_verification:
            reason = "the security key has not verified its user"
            require_verified_user(key, lambda: self._certificate_refused(user, certificate, reason))
        step = LoginStep("publickey", "publickey", key.get_fingerprint(), certificate)
        self._prove_once_signed(user, key, answer.identity, step)
        return key

    def _key_offered(self, user: str) -> None:
        """Count that the client offers a key or a certificate.

        Raises asyncssh.DisconnectError: after too many.
        """
        self._begin(user)
        self._keys += 1
        if self._keys > self._limits.max_key_offers:
            raise _too_many()

    def _prove_once_signed(
        self, user: str, key: asyncssh.SSHKey, identity: Identity, step: LoginStep
    ) -> None:
        """Have the key note the factor when it has verified a signature, and not before: everything else
        that the key verifies by must be set already."""
        verify_only(
            key,
            self._limits.offer.signatures,
            lambda name: self._signature_refused(user, name),
            lambda: self._prove(user, identity, step),
        )

    def _begin(self, user: str) -> None:
        self.proof, self._is_partial = None, False
        self._steps.begin(user)

    def _prove(self, user: str, identity: Identity, step: LoginStep) -> bool:
        """Note a factor that is verified. Returns whether the login is complete."""
        if not self._steps.prove(user, identity, step):
            return False
        self._has_failed_since = False
        if self._steps.are_complete:
            self.proof = LoginProof(identity, self._steps.steps)
            return True
        self._is_partial = True
        _log.info(
            "login.continued",
            connection=self._connection_id,
            source=self._source,
            user=user,
            method=step.method,
            needs=identity.login_methods.text,
        )
        return False

    def _signature_refused(self, user: str, algorithm: str) -> None:
        _log.warning(
            "login.signature_refused",
            connection=self._connection_id,
            source=self._source,
            user=user,
            algorithm=algorithm,
            advice=advice_for((algorithm,), self._limits.offer.policy),
        )

    def _key_refused(self, user: str, key: str, answer: AuthResult) -> None:
        if answer.reason is not None and not answer.is_by_rule:
            _log.warning(
                "login.key_barred",
                connection=self._connection_id,
                source=self._source,
                user=user,
                key=key,
                reason=answer.reason,
            )
        else:
            _log.debug(
                "login.key_refused",
                connection=self._connection_id,
                user=user,
                key=key,
                reason=answer.reason,
            )

    def _certificate_refused(self, user: str, certificate: Certificate | None, reason: str | None) -> None:
        _log.info(
            "login.certificate_refused",
            connection=self._connection_id,
            source=self._source,
            user=user,
            key=certificate.key.get_fingerprint() if certificate else None,
            **certificate_fields(certificate),
            reason=reason,
        )

    def closed_without_login(self, user: str, offence: Offence | None) -> None:
        """Count the end of a connection without a login as one offence, unless wrong passwords or codes have
        been counted: factors that others did not follow, refused keys, or, if it offered nothing, what it did
        instead."""
        steps = self._steps.steps
        if steps and not self._has_failed_since and not self._unanswered:
            kind = Offence.PUBLICKEY if steps[-1].factor == "publickey" else Offence.PASSWORD
            reason = f"only {'+'.join(self._steps.proven)} was proven"
            self._failed(user, steps[-1].method, kind, reason)
        elif steps or self._passwords:
            return
        elif not self._keys:
            if offence is not None and self._admitted is not None:
                self._admitted.offended(offence)
        elif self._unanswered:
            self._log_unanswered(user, "publickey", self._key_reason)
            self._count(LOGINS.row("publickey", "error"))
        else:
            self._failed(user, "publickey", Offence.PUBLICKEY, self._key_reason)

    def _log_unanswered(self, user: str, method: str, reason: str | None) -> None:
        """For the audit log: the source of users has logged what is wrong with it, and not about whom."""
        tap.observe(
            "login.unanswered",
            connection=self._connection_id,
            source=self._source,
            user=user,
            method=method,
            reason=reason or "the source of users gave no answer",
        )

    async def _may_guess(self, user: str) -> bool:
        return self._admitted is None or await self._admitted.may_try_password(user, bool(self._steps.steps))

    def _failed(
        self, user: str, method: str, offence: Offence, reason: str | None
    ) -> asyncio.Future[bool] | None:
        self._has_failed_since = True
        _log.info(
            "login.failed",
            connection=self._connection_id,
            source=self._source,
            user=user,
            method=method,
            key=self._last_key if method == "publickey" and not self._steps.steps else None,
            reason=reason,
        )
        self._count(LOGINS.row(method, "failed"))
        self._tell(
            False, user, self._peer, {"connection": self._connection_id, "method": method, "reason": reason}
        )
        if self._admitted is None:
            return None
        return self._admitted.offended(offence, user, bool(self._steps.steps))


def certificate_fields(certificate: Certificate | None) -> dict[str, Any]:
    """What the log says of a certificate, beside its key; nothing if there is none."""
    if certificate is None:
        return {}
    return {
        "certificate": certificate.key_id,
        "serial": certificate.serial,
        "authority": certificate.authority.get_fingerprint(),
    }


def _too_many() -> asyncssh.DisconnectError:
    return asyncssh.DisconnectError(
        asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many authentication failures"
    )
