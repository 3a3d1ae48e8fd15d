"""The contract between SSH and the source of users: the configuration, or an application's own code."""

from __future__ import annotations

from typing import Protocol

import asyncssh

from s3sftp.auth.identity import Identity


class Authenticator(Protocol):
    """Decides who may log in. The identity that it returns becomes the session that backends and events see.

    Subclass it and write `by_password`, `by_public_key` or both. None is the only refusal: unknown, wrong,
    and not allowed now look the same to the client and take the same time, because the server delays each
    refusal. If a method raises, or takes longer than `auth.answer_timeout`, the login is refused, the
    operator sees it in the log, and it counts towards no ban. A method that has logged by itself why it
    cannot answer raises `s3sftp.errors.UsersUnavailable`. Calls run concurrently, as many as there are
    clients logging in.
    """

    @property
    def accepts_passwords(self) -> bool:
        """Whether any user has a password. Must not depend on the user name, so that it reveals nothing about
        a user."""
        return type(self).by_password is not Authenticator.by_password

    @property
    def accepts_public_keys(self) -> bool:
        """Whether any user has a key. Must not depend on the user name."""
        return type(self).by_public_key is not Authenticator.by_public_key

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        """The user's identity if this is their password and they may log in from `address`, else None.

        Called for both the `password` and the `keyboard-interactive` method.
        """
        return None

    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        """The user's identity if this key opens the account from `address` now, else None.

        The result does not prove that the client has the private key: the caller verifies the signature. May
        be called twice for one login, before the signature and with it.
        """
        return None
