"""The login of one connection: its attempts, their limits, and the identity that it ends with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import asyncssh
from asyncssh.saslprep import SASLPrepError, saslprep

from s3sftp.auth import AuthGateway, AuthResult, Identity, Offence
from s3sftp.ssh.admission_gate import AdmittedConnection, Peer
from s3sftp.ssh.algorithms import advice_for
from s3sftp.ssh.asyncssh_internals import MOST_LOGIN_BYTES, NO_TEXT
from s3sftp.ssh.options import SshOptions
from s3sftp.ssh.signature_algorithms import verify_only
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.metric_catalogue import LOGINS
from s3sftp.telemetry.metrics import Metrics

_log = get_logger("s3sftp.ssh")


@dataclass(frozen=True, slots=True)
class LoginProof:
    """An identity, and the credential that proves it."""

    identity: Identity
    method: str
    fingerprint: str | None = None
    """The fingerprint of the public key, in the format of `ssh-keygen -l`."""


class Login:
    """Authenticates one connection, counts its failures, and ends it after too many attempts.

    These failures count towards the source's ban: each wrong password, by whatever method, and one for a
    connection that offered keys and closed without a login. Keys count less because agents offer all that
    they hold.
    """

    def __init__(self, auth: AuthGateway, limits: SshOptions, connection_id: str, metrics: Metrics) -> None:
        self._count = metrics.add
        self._auth = auth
        self._limits = limits
        self._connection_id = connection_id
        self._names = 0
        self._questions = 0
        self._passwords = 0
        self._keys = 0
        self._unanswered = False
        self._address = ""
        self._source = ""
        self._admitted: AdmittedConnection | None = None
        self.proof: LoginProof | None = None
        """What the current attempt would prove; asyncssh reports its success by `auth_completed`."""

    def set_peer(self, peer: Peer, admitted: AdmittedConnection) -> None:
        self._address, self._source, self._admitted = peer.address, peer.source, admitted

    def next_name(self) -> None:
        """Count that the client tries another user name.

        Raises asyncssh.DisconnectError: after too many.
        """
        self._names += 1
        if self._names > self._limits.max_auth_attempts:
            raise _too_many()

    def question(self) -> None:
        """Count that the client requests a keyboard-interactive prompt, answered or not.

        Raises asyncssh.DisconnectError: after too many.
        """
        self._questions += 1
        if self._questions > self._limits.max_auth_attempts:
            raise _too_many()

    async def response(self, user: str, responses: Sequence[str]) -> bool:
        """Whether the single response is the user's password; it is prepared and counted as one.

        No response, or several, come from a person who cancels: they count as an attempt of this connection,
        but not as a guess.
        """
        if len(responses) == 1:
            if len(responses[0]) > MOST_LOGIN_BYTES:
                raise asyncssh.ProtocolError("keyboard-interactive response too long")
            try:
                password = saslprep(responses[0])
            except SASLPrepError:
                password = NO_TEXT
            return await self.password(user, password, "keyboard-interactive")
        self._passwords += 1
        if self._passwords >= self._limits.max_auth_attempts:
            raise _too_many()
        return False

    async def password(self, user: str, password: str, method: str = "password") -> bool:
        """Whether the password is the user's.

        Raises asyncssh.DisconnectError: after too many.
        """
        self.proof = None
        self._passwords += 1
        if self._passwords > self._limits.max_auth_attempts:
            raise _too_many()
        answer = AuthResult(None)
        banned: asyncio.Future[bool] | None = None
        try:
            if password == NO_TEXT or not await self._may_try(user):
                await self._auth.no_password()
            else:
                answer = await self._auth.password(user, password, self._address)
        finally:
            if answer.broken:
                self._count(LOGINS.row(method, "error"))
            elif answer.identity is None:
                # even if the client does not wait for the answer; otherwise it could guess for free
                banned = self._failed(user, method, Offence.PASSWORD)
        if answer.identity is not None:
            self.proof = LoginProof(answer.identity, method)
            return True
        if (banned is not None and await banned) or self._passwords >= self._limits.max_auth_attempts:
            raise _too_many()
        return False

    async def public_key(self, user: str, key: asyncssh.SSHKey) -> bool:
        """Whether the key opens the user's account.

        Raises asyncssh.DisconnectError: after too many.
        """
        self.proof = None
        self._keys += 1
        if self._keys > self._limits.max_key_offers:
            raise _too_many()
        answer = await self._auth.public_key(user, key, self._address)
        self._unanswered |= answer.broken
        if answer.identity is None:
            _log.debug(
                "login.key_refused", connection=self._connection_id, user=user, key=key.get_fingerprint()
            )
            return False
        verify_only(key, self._limits.offer.signatures, lambda name: self._signature_refused(user, name))
        self.proof = LoginProof(answer.identity, "publickey", key.get_fingerprint())
        return True

    def _signature_refused(self, user: str, algorithm: str) -> None:
        _log.warning(
            "login.signature_refused",
            connection=self._connection_id,
            source=self._source,
            user=user,
            algorithm=algorithm,
            advice=advice_for((algorithm,)),
        )

    def closed_without_login(self, user: str, offence: Offence | None) -> None:
        """Count the end of a connection without a login as one offence, unless wrong passwords have been
        counted: its refused keys, or, if it offered none, what it did instead."""
        if self._passwords:
            return
        if not self._keys:
            if offence is not None and self._admitted is not None:
                self._admitted.offended(offence)
        elif self._unanswered:
            self._count(LOGINS.row("publickey", "error"))
        else:
            self._failed(user, "publickey", Offence.PUBLICKEY)

    async def _may_try(self, user: str) -> bool:
        return self._admitted is None or await self._admitted.may_try_password(user)

    def _failed(self, user: str, method: str, offence: Offence) -> asyncio.Future[bool] | None:
        _log.info(
            "login.failed", connection=self._connection_id, source=self._source, user=user, method=method
        )
        self._count(LOGINS.row(method, "failed"))
        return self._admitted.offended(offence, user) if self._admitted else None


def _too_many() -> asyncssh.DisconnectError:
    return asyncssh.DisconnectError(
        asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many authentication failures"
    )
