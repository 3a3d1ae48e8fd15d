"""The seam between SSH and whoever knows the users: a file today, certificates or a service later."""

from __future__ import annotations

from typing import Protocol

import asyncssh

from s3sftp.auth.identity import Identity


class Authenticator(Protocol):
    """Says who may come in. Neither the answer's text nor its time tells a stranger whether a user exists."""

    @property
    def accepts_passwords(self) -> bool:
        """Whether any user has a password. The same for every name, so that it tells nothing about one."""

    @property
    def accepts_public_keys(self) -> bool:
        """Whether any user has a key. The same for every name."""

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        """The user's identity if this is their password and they may come from `address`, else None.

        Takes as long for a user who does not exist, or has no password, as for a wrong password.
        """

    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        """The user's identity if this key opens the account from `address` now, else None.

        Says nothing about whether the client has the private half: the caller verifies the signature.
        """
