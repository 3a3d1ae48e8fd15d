"""Authenticates users whom a service of AWS has. Sessions that have begun do not depend on it.

name ─► record of the service ─► account ─► credentials are verified here, as those of the configuration
          └─ none: the same work for nobody
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import asyncssh

from s3sftp.auth.account_verifier import AccountVerifier
from s3sftp.auth.authenticator import Authenticator
from s3sftp.auth.authorized_keys import AuthorizedKey
from s3sftp.auth.aws.options import AwsOptions
from s3sftp.auth.aws.records import PlainPassword, RecordReader, StoredUser
from s3sftp.auth.certificates import Certificate
from s3sftp.auth.identity import Identity
from s3sftp.auth.origins import identity_of_source
from s3sftp.auth.sources.answer_cache import AnswerCache
from s3sftp.auth.sources.asking import SourceFailed
from s3sftp.auth.sources.availability import PROBE_USER, Availability
from s3sftp.auth.sources.transfer_family import AnswerProblem, UserHomes
from s3sftp.auth.user_options import user_name_problem
from s3sftp.errors import UsersUnavailable
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle
from s3sftp.telemetry.metric_catalogue import AWS_USERS_DOWN
from s3sftp.telemetry.metrics import Metrics

_log = get_logger("s3sftp.auth")
_NOBODY = PlainPassword(secrets.token_hex())


class Records(Protocol):
    """The records of a service, by user."""

    @property
    def service(self) -> str:
        """The name of the service in options, logs and metrics."""

    @property
    def place(self) -> str:
        """Where the users are, for logs."""

    async def start(self) -> None:
        """Raises ConfigurationError: if the options cannot be used."""

    async def close(self) -> None:
        """Close all connections."""

    async def record(self, user: str) -> Mapping[str, Any] | None:
        """The user's record; None: there is no such user.

        Raises SourceFailed: if the service gives no answer.
        Raises AnswerProblem: if the answer cannot be used.
        """


class AwsUsers(Authenticator):
    """An Authenticator over the users of one service. Start it before its first use."""

    def __init__(
        self,
        records: Records,
        options: AwsOptions,
        home: UserHomes,
        verifier: AccountVerifier,
        metrics: Metrics,
    ) -> None:
        self._records = records
        self._reader = RecordReader(options, records.service, home)
        self._verifier = verifier
        self._cache: AnswerCache[StoredUser] = AnswerCache(options.cache_time.total_seconds())
        self._availability = Availability(
            options.max_failures,
            options.probe_interval.total_seconds(),
            lambda: self._record(PROBE_USER),
            self._changed,
        )
        self._metrics = metrics
        self._throttle = LogThrottle()

    @property
    def source_name(self) -> str:
        """The name of the service, for whoever explains a refusal to the operator."""
        return self._records.service

    async def keys_of(self, user: str, address: str) -> Sequence[AuthorizedKey]:
        """As `ConfiguredUsers.keys_of`.

        Raises UsersUnavailable: if the service has no usable answer.
        """
        found = await self._found(user)
        return found.account.keys if found and found.account else ()

    async def start(self) -> None:
        """Make the client. Asks the service nothing.

        Raises ConfigurationError: if the options cannot be used.
        """
        await self._records.start()

    async def close(self) -> None:
        """End the connections to the service."""
        await self._availability.close()
        await self._records.close()

    async def source_of(self, user: str) -> Authenticator | None:
        """What verifies the user's credentials; None: the service has no such user.

        Raises UsersUnavailable: if the service has no usable answer.
        """
        found = await self._found(user)
        return None if found is None else self._of(found)

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        return await (await self._anybody(user)).by_password(user, password, address)

    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        return await (await self._anybody(user)).by_public_key(user, key, address)

    async def by_certificate(self, user: str, certificate: Certificate, address: str) -> Identity | None:
        return await (await self._anybody(user)).by_certificate(user, certificate, address)

    async def by_code(self, user: str, code: str, address: str) -> Identity | None:
        return await (await self._anybody(user)).by_code(user, code, address)

    async def _anybody(self, user: str) -> Authenticator:
        return self._of(await self._found(user) or StoredUser())

    def _of(self, found: StoredUser) -> _FoundUser:
        return _FoundUser(self._verifier, found, self._records.service)

    async def _found(self, user: str) -> StoredUser | None:
        """The user, if the service has one of this name.

        Raises UsersUnavailable: if the service has no usable answer.
        """
        if user_name_problem(user) is not None or user == PROBE_USER:
            return None
        clock = asyncio.get_running_loop().time
        if (known := self._cache.get((user,), clock())) is not None:
            return known
        service = self._records.service
        if self._availability.is_down:
            raise UsersUnavailable(f"{service} is down")
        asked = clock()
        try:
            record = await self._record(user)
            found = None if record is None else self._reader.user(user, record)
        except SourceFailed as failed:
            self._warn("aws_users.request_failed", "failed", user, str(failed))
            raise UsersUnavailable(f"{service} gave no answer") from None
        except AnswerProblem as problem:
            self._warn("aws_users.record_unusable", "unusable", user, str(problem))
            raise UsersUnavailable(f"the user's record in {service} cannot be used") from None
        if found is not None and found.bad_keys:
            self._warn("aws_users.key_unusable", "key", user, str(found.bad_keys[0].problem))
        if found is not None and found.account is not None:
            self._cache.put((user,), found, asked)
        return found

    async def _record(self, user: str) -> Mapping[str, Any] | None:
        return await self._availability.noting(self._records.record(user))

    def _changed(self, problem: str | None) -> None:
        service, place = self._records.service, self._records.place
        self._metrics.set(AWS_USERS_DOWN.row(service), 0 if problem is None else 1)
        if problem is None:
            _log.info("aws_users.up", service=service, place=place)
        else:
            _log.error("aws_users.down", service=service, place=place, reason=problem)

    def _warn(self, event: str, kind: str, user: str, problem: str) -> None:
        suppressed = self._throttle.allow(kind, asyncio.get_running_loop().time())
        if suppressed is not None:
            service = self._records.service
            _log.warning(event, service=service, user=user, problem=problem, suppressed=suppressed or None)


class _FoundUser(Authenticator):
    """An Authenticator for one user, or for nobody at the same cost."""

    def __init__(self, verifier: AccountVerifier, found: StoredUser, source_name: str) -> None:
        self._verifier = verifier
        self.source_name = source_name
        self._account = found.account
        self._password = found.password

    @property
    def _identity(self) -> Identity | None:
        return identity_of_source(self.source_name, self._account) if self._account else None

    async def keys_of(self, user: str, address: str) -> Sequence[AuthorizedKey]:
        """As `ConfiguredUsers.keys_of`."""
        return self._account.keys if self._account else ()

    async def by_password(self, user: str, password: str, address: str) -> Identity | None:
        fits_hash = await self._verifier.password(self._account, password)
        fits_text = (self._password or _NOBODY).fits(password)
        fits = fits_hash or (fits_text and self._password is not None)
        return self._identity if fits else None

    async def by_public_key(self, user: str, key: asyncssh.SSHKey, address: str) -> Identity | None:
        fits = self._verifier.public_key(self._account, key, address)
        return self._identity if fits else None

    async def by_certificate(self, user: str, certificate: Certificate, address: str) -> Identity | None:
        self._verifier.certificate(self._account, user, certificate, address)
        return self._identity

    async def by_code(self, user: str, code: str, address: str) -> Identity | None:
        fits = await self._verifier.code(self._account, user, code)
        return self._identity if fits else None
