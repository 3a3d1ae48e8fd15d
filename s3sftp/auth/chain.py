"""Chains sources of users: the first source that knows a name answers for it, and no later one is asked.

    alice, a user of the configuration    configured users ─ known ──► answer
    bob, a user of the HTTP hook          configured users ─ unknown ──► hook ──► answer

So the password of a configured user never leaves the server, and no later source can take over a name. That
holds for every method: whoever is known by one source proves each factor to that source. A login is refused
if the configuration begins or ceases to know its name meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import asyncssh

from s3sftp.auth.authenticator import Authenticator
from s3sftp.auth.certificates import Certificate
from s3sftp.auth.identity import Identity


class KnownUsers(Protocol):
    """A source of users that says which names are its own."""

    @property
    def accepts_passwords(self) -> bool:
        """As `Authenticator.accepts_passwords`."""

    @property
    def accepts_public_keys(self) -> bool:
        """As `Authenticator.accepts_public_keys`."""

    @property
    def accepts_codes(self) -> bool:
        """As `Authenticator.accepts_codes`."""

    async def source_of(self, user: str) -> Authenticator | None:
        """What verifies the user's credentials; None if the user does not belong to this source, whatever
        their credentials.

        Raises UsersUnavailable: if nobody knows.
        """


class ChainedUsers(Authenticator):
    """An Authenticator over several sources, in the order of their precedence.

    Answers of the sources take different times, so its caller has to even out refusals, as `AuthGateway`
    does.
    """

    def __init__(self, known: Sequence[KnownUsers], last: Authenticator) -> None:
        """`last` is asked for every name that none of `known` knows. The first of `known` is asked again once
        there is an answer, so it should know its users without requests, and return the same object."""
        self._known = known
        self._last = last
        self._all: tuple[KnownUsers | Authenticator, ...] = (*known, last)

    @property
    def accepts_passwords(self) -> bool:
        return any(source.accepts_passwords for source in self._all)

    @property
    def accepts_public_keys(self) -> bool:
        return any(source.accepts_public_keys for source in self._all)

    @property
    def accepts_codes(self) -> bool:
        return any(source.accepts_codes for source in self._all)

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        return await self._ask(user, lambda source: source.by_password(user, password, address))

    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        return await self._ask(user, lambda source: source.by_public_key(user, key, address))

    async def by_certificate(self, user: str, certificate: Certificate, address: str) -> Identity | None:
        return await self._ask(user, lambda source: source.by_certificate(user, certificate, address))

    async def by_code(self, user: str, code: str, address: str) -> Identity | None:
        return await self._ask(user, lambda source: source.by_code(user, code, address))

    async def _ask(
        self, user: str, question: Callable[[Authenticator], Awaitable[Identity | None]]
    ) -> Identity | None:
        first = self._known[0]
        known = await first.source_of(user)
        identity = await question(known or await self._later_source_of(user))
        # the operator may have barred a user of the hook in the configuration while the hook was answering
        return identity if await first.source_of(user) is known else None

    async def source_of(self, user: str) -> Authenticator:
        """What verifies the user's credentials.

        Raises UsersUnavailable: if a source does not say whether the user is its own.
        """
        return await self._known[0].source_of(user) or await self._later_source_of(user)

    async def _later_source_of(self, user: str) -> Authenticator:
        for source in self._known[1:]:
            if (found := await source.source_of(user)) is not None:
                return found
        return self._last
