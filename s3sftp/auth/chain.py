"""Chains sources of users: the first source that knows a name answers for it, and no later one is asked.

    alice, a user of the configuration    configured users ─ known ──► answer
    bob, a user of the HTTP hook          configured users ─ unknown ──► hook ──► answer

So the password of a configured user never leaves the server, and no later source can take over a name. That
holds for every method: whoever is known by one source proves each factor to that source.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import asyncssh

from s3sftp.auth.authenticator import Authenticator
from s3sftp.auth.certificates import Certificate
from s3sftp.auth.identity import Identity


class KnownUsers(Protocol):
    """An `Authenticator` that also says which names are its own."""

    @property
    def accepts_passwords(self) -> bool:
        """As `Authenticator.accepts_passwords`."""

    @property
    def accepts_public_keys(self) -> bool:
        """As `Authenticator.accepts_public_keys`."""

    @property
    def accepts_codes(self) -> bool:
        """As `Authenticator.accepts_codes`."""

    async def knows(self, user: str) -> bool:
        """Whether the user belongs to this source, whatever their credentials."""

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        """As `Authenticator.by_password`. Does equal work for names that it does not know."""

    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        """As `Authenticator.by_public_key`."""

    async def by_certificate(self, user: str, certificate: Certificate, address: str) -> Identity | None:
        """As `Authenticator.by_certificate`."""

    async def by_code(self, user: str, code: str, address: str) -> Identity | None:
        """As `Authenticator.by_code`."""


class ChainedUsers(Authenticator):
    """An Authenticator over several sources, in the order of their precedence.

    Answers of the sources take different times, so its caller has to even out refusals, as `AuthGateway`
    does.
    """

    def __init__(self, known: Sequence[KnownUsers], last: Authenticator) -> None:
        """`last` is asked for every name that none of `known` knows."""
        self._known = known
        self._last = last

    @property
    def accepts_passwords(self) -> bool:
        return any(source.accepts_passwords for source in (*self._known, self._last))

    @property
    def accepts_public_keys(self) -> bool:
        return any(source.accepts_public_keys for source in (*self._known, self._last))

    @property
    def accepts_codes(self) -> bool:
        return any(source.accepts_codes for source in (*self._known, self._last))

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        return await (await self.source_of(user)).by_password(user, password, address)

    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        return await (await self.source_of(user)).by_public_key(user, key, address)

    async def by_certificate(self, user: str, certificate: Certificate, address: str) -> Identity | None:
        return await (await self.source_of(user)).by_certificate(user, certificate, address)

    async def by_code(self, user: str, code: str, address: str) -> Identity | None:
        return await (await self.source_of(user)).by_code(user, code, address)

    async def source_of(self, user: str) -> KnownUsers | Authenticator:
        """The source that answers for this name."""
        for source in self._known:
            if await source.knows(user):
                return source
        return self._last
