"""Asks the application's authenticator, so that nothing of what it does can be seen from outside.

It may be fast for unknown names, slow for wrong passwords, hang, or raise: a refusal is a refusal, and takes
as long as all others. What went wrong in it is the operator's to know.
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
from s3sftp.fs import Mounts
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.auth")
Question = Callable[[], Awaitable[Identity | None]]
_KEYS_SHARE = 10
"""Agents offer all keys that they hold: a refused one takes a tenth of a refused password."""


@dataclass(frozen=True, slots=True)
class AuthResult:
    """Who it is, or nobody."""

    identity: Identity | None
    broken: bool = False
    """There was no answer: refused, but not the client's fault."""


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
        """`Authenticator.by_password`; never raises for what that does."""
        asked = self._authenticator.by_password
        return await self._ask(lambda: asked(user, password, address), self._passwords, user)

    async def no_password(self) -> None:
        """Take as long as a refused password, for what the authenticator need not see."""
        await asyncio.sleep(self._passwords.refusal_seconds)

    async def public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> AuthResult:
        """`Authenticator.by_public_key`; never raises for what that does."""
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
        except Exception:
            _log.exception("authenticator.failed", user=user)
        else:
            return AuthResult(identity)
        return AuthResult(None, broken=True)
