"""Calls the application's authenticator such that its behaviour cannot be observed from outside.

The authenticator may be fast for unknown names, slow for wrong passwords, hang, or raise: every refusal looks
alike and takes equally long. Its failures go to the log, for the operator alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncssh

from s3sftp.auth.authenticator import Authenticator
from s3sftp.auth.identity import Identity
from s3sftp.auth.options import AuthOptions
from s3sftp.auth.refusal_timing import RefusalTiming
from s3sftp.errors import UsersUnavailable
from s3sftp.fs import Mounts
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.auth")
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


class AuthGateway:
    """An authenticator as the listener uses it."""

    def __init__(self, authenticator: Authenticator, options: AuthOptions) -> None:
        self._authenticator = authenticator
        self._limit = options.answer_timeout.total_seconds()
        step = options.refusal_time.total_seconds()
        self._passwords = RefusalTiming(step)
        self._keys = RefusalTiming(step / _KEYS_SHARE)

    @property
    def accepts_passwords(self) -> bool:
        return self._authenticator.accepts_passwords

    @property
    def accepts_public_keys(self) -> bool:
        return self._authenticator.accepts_public_keys

    async def password(self, user: str, password: str, address: str) -> AuthResult:
        """`Authenticator.by_password`; never raises because of the authenticator."""
        asked = self._authenticator.by_password
        return await self._ask(lambda: asked(user, password, address), self._passwords, user)

    async def no_password(self) -> None:
        """Take as long as a refused password, for passwords that need not reach the authenticator."""
        await asyncio.sleep(self._passwords.refusal_seconds)

    async def public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> AuthResult:
        """`Authenticator.by_public_key`; never raises because of the authenticator."""
        asked = self._authenticator.by_public_key
        return await self._ask(lambda: asked(user, key, address), self._keys, user)

    async def _ask(self, question: Question, evenness: RefusalTiming, user: str) -> AuthResult:
        clock = asyncio.get_running_loop().time
        began = clock()
        answer = await self._answer_to(question, user)
        evenness.took(clock() - began, clock())
        if answer.identity is None:
            await asyncio.sleep(began + evenness.refusal_seconds - clock())
        return answer

    async def _answer_to(self, question: Question, user: str) -> AuthResult:
        try:
            async with asyncio.timeout(self._limit):
                identity = await question()
            if identity is not None:
                Mounts.rooted_at(identity.prefix, directories=identity.directories)
        except TimeoutError:
            _log.error("authenticator.timed_out", user=user, limit=self._limit)
        except UsersUnavailable:
            pass  # the source of users has logged it
        except Exception:
            _log.exception("authenticator.failed", user=user)
        else:
            return AuthResult(identity)
        return AuthResult(None, broken=True)
