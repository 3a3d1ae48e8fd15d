"""The seam between SSH and whoever knows the users: the configuration, or an application's own code."""

from __future__ import annotations

from typing import Protocol

import asyncssh

from s3sftp.auth.identity import Identity


class Authenticator(Protocol):
    """Says who may come in. The identity that it returns becomes the session that backends and events see.

    Subclass it and write `by_password`, `by_public_key` or both. None is the one refusal: unknown, wrong, and
    not allowed now look the same to the client and take the same time, as the server waits before it passes
    a refusal on. What is raised, or takes longer than `auth.answer_timeout`, is a refusal that the log tells
    the operator of, and that gets nobody banned. Calls run at once: as many as there are clients.
    """

    @property
    def accepts_passwords(self) -> bool:
        """Whether any user has a password. The same for every name, so that it tells nothing about one."""
        return type(self).by_password is not Authenticator.by_password

    @property
    def accepts_public_keys(self) -> bool:
        """Whether any user has a key. The same for every name."""
        return type(self).by_public_key is not Authenticator.by_public_key

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        """The user's identity if this is their password and they may come from `address`, else None.

        Asked for what a client sends by `password` and by `keyboard-interactive`, alike.
        """
        return None

    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        """The user's identity if this key opens the account from `address` now, else None.

        Says nothing about whether the client has the private half: the caller verifies the signature. May
        be asked twice for one login, before the signature and with it.
        """
        return None
