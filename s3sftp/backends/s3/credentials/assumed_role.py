"""Assumes a role through STS: once for the server itself, and once for each user with a session policy.

    own credentials ─► AssumeRole ───────────────────────────► the server's requests (journal, probes, health)
                       AssumeRole with the user's policy ────► the requests of that user

Each set of credentials is renewed as `renewal` says. Those of at most `MOST_SCOPES` users are kept.

Source: AWS STS API Reference, AssumeRole.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession
from botocore.credentials import ReadOnlyCredentials

from s3sftp.backends.s3.credentials.renewal import RenewableCredentials
from s3sftp.backends.s3.credentials.user_scope import UserScope, current_scope
from s3sftp.backends.s3.http.signing import FrozenCredentials
from s3sftp.backends.s3.options import S3Options

MOST_SCOPES: Final = 1000
"""Users whose credentials are kept. Those of others are requested again when they send a request."""
_SERVER_SESSION: Final = "s3sftp"
_DURATION_SECONDS: Final = 3600
"""The longest that AWS allows for a role that was assumed with the credentials of another role."""


class AssumedCredentials:
    """The answer of AssumeRole, with the methods that `RenewableCredentials` needs."""

    method = "assume-role"

    def __init__(self, keys: ReadOnlyCredentials, expires: datetime) -> None:
        self._keys = keys
        self._expires = expires

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        return self._keys

    def refresh_needed(self, seconds: int) -> bool:
        """Whether they expire within so many seconds."""
        return (self._expires - datetime.now(UTC)).total_seconds() < seconds


class AssumableRole:
    """The role of one storage, and a client of STS that is opened when it is first needed."""

    def __init__(self, options: S3Options, session: AioSession) -> None:
        """`session` signs the requests to STS with the server's own credentials."""
        self._options = options
        self._session = session
        self._opened = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._sts: Any = None
        self.name = f"role {options.role_arn} (s3.role_arn)"

    async def assume(self, scope: UserScope | None) -> AssumedCredentials:
        """Request credentials from STS. Raises whatever botocore raises."""
        fields = {} if scope is None else {"Policy": scope.policy}
        if self._options.external_id is not None:
            fields["ExternalId"] = self._options.external_id
        client = await self._client()
        answer = await client.assume_role(
            RoleArn=self._options.role_arn,
            RoleSessionName=_SERVER_SESSION if scope is None else scope.session_name,
            DurationSeconds=_DURATION_SECONDS,
            **fields,
        )
        found = answer["Credentials"]
        keys = ReadOnlyCredentials(found["AccessKeyId"], found["SecretAccessKey"], found.get("SessionToken"))
        return AssumedCredentials(keys, found["Expiration"])

    async def close(self) -> None:
        await self._opened.aclose()
        self._sts = None

    async def _client(self) -> Any:
        async with self._opening:
            if self._sts is None:
                seconds = self._options.connect_timeout.total_seconds()
                self._sts = await self._opened.enter_async_context(
                    self._session.create_client(
                        "sts",
                        region_name=self._options.region
                        or self._session.get_config_variable("region")
                        or "us-east-1",
                        endpoint_url=self._options.sts_endpoint_url,
                        config=AioConfig(connect_timeout=seconds, read_timeout=2 * seconds),
                    )
                )
            return self._sts


class SessionOfRole(RenewableCredentials):
    """The credentials of one session of the role, renewed before they expire."""

    def __init__(self, role: AssumableRole, scope: UserScope | None, patience: float) -> None:
        super().__init__(AioSession, patience)
        self._role = role
        self._scope = scope

    async def _search(self) -> Any:
        who = "" if self._scope is None else f" as {self._scope.session_name}"
        self._source = self._role.name + who
        return await self._role.assume(self._scope)


class RoleCredentials(AioCredentials):  # type: ignore[misc]  # aiobotocore is not typed throughout
    """The credentials that the request being sent needs: those of its user, or the server's own.

    Call `close` at the end.
    """

    def __init__(self, role: AssumableRole, own: RenewableCredentials | None, patience: float) -> None:
        """`own`: the credentials with which the role is assumed, if they are renewed; closed with these."""
        super().__init__("", "", method="s3sftp-role")
        self._role = role
        self._own = own
        self._patience = patience
        self._sessions: OrderedDict[UserScope | None, SessionOfRole] = OrderedDict()

    @property
    def generation(self) -> int:
        """See `RenewableCredentials.generation`."""
        return self._current().generation

    async def get_frozen_credentials(self) -> FrozenCredentials:
        return await self._current().get_frozen_credentials()

    async def renew(self, seen: int, *, doubtful: bool = False) -> bool:
        """See `RenewableCredentials.renew`."""
        return await self._current().renew(seen, doubtful=doubtful)

    async def close(self) -> None:
        """Stop asking."""
        for session in self._sessions.values():
            await session.close()
        await self._role.close()
        if self._own is not None:
            await self._own.close()

    def _current(self) -> SessionOfRole:
        scope = current_scope()
        found = self._sessions.get(scope)
        if found is None:
            found = self._sessions[scope] = SessionOfRole(self._role, scope, self._patience)
            if len(self._sessions) > MOST_SCOPES:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(scope)
        return found
