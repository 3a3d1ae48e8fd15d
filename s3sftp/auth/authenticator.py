"""The contract between SSH and the source of users: the configuration, or an application's own code."""

from __future__ import annotations

from typing import Protocol

import asyncssh

from s3sftp.auth.certificates import Certificate
from s3sftp.auth.identity import Identity


class Authenticator(Protocol):
    """Decides who may log in. The identity that it returns becomes the session that backends and events see.

    Subclass it and write `by_password`, `by_public_key`, `by_certificate` or several. An identity proves one
    factor: the server asks for further ones as `Identity.login_methods` says, and enforces
    `Identity.login_rules`. None is the only refusal: unknown, wrong, and not allowed now look the same to the
    client and take the same time, because the server delays each refusal. If a method raises, or takes longer
    than `auth.answer_timeout`, the login is refused, the operator sees it in the log, and it counts towards
    no ban. A method that has logged by itself why it cannot answer raises `s3sftp.errors.UsersUnavailable`.
    Calls run concurrently, as many as there are clients logging in.
    """

    @property
    def accepts_passwords(self) -> bool:
        """Whether any user has a password. Must not depend on the user name, so that it reveals nothing about
        a user."""
        return type(self).by_password is not Authenticator.by_password

    @property
    def accepts_public_keys(self) -> bool:
        """Whether any user has a key, or can have a certificate. Must not depend on the user name."""
        return (
            type(self).by_public_key is not Authenticator.by_public_key
            or type(self).by_certificate is not Authenticator.by_certificate
        )

    @property
    def accepts_codes(self) -> bool:
        """Whether any user has verification codes. Must not depend on the user name."""
        return type(self).by_code is not Authenticator.by_code

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        """The user's identity if this is their password and they may log in from `address`, else None.

        `address` is empty, here and below, if a load balancer does not tell the client's.

        Called for both the `password` and the `keyboard-interactive` method.
        """
        return None

    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        """The user's identity if this key opens the account from `address` now, else None.

        The result does not prove that the client has the private key: the caller verifies the signature. May
        be called twice for one login, before the signature and with it.
        """
        return None

    async def by_certificate(self, user: str, certificate: Certificate, address: str) -> Identity | None:
        """The user's identity if this OpenSSH certificate opens the account, else None.

        The server has already verified the CA's signature, the time, `source-address` and all other critical
        options, and that it is a certificate for users with a principal. The method decides whether
        `certificate.authority` is trusted, and whether one of `certificate.principals` may be `user`: anybody
        can be a CA. The result does not prove that the client has the private key: the caller verifies the
        signature. May be called twice for one login. May raise LoginRefused instead of returning None: its
        text goes to the log alone.
        """
        return None

    async def by_code(self, user: str, code: str, address: str) -> Identity | None:
        """The user's identity if this is a verification code that is valid now and has not been used, else
        None.

        Only called once another factor has been proven, if `Identity.login_methods` asks for `totp`.
        """
        return None
