"""Assumes roles through STS: once for the server itself, and with a session policy for each user and role.

    own credentials ─► AssumeRole ───────────────────────────► the server's requests (journal, probes, health)
                       AssumeRole with the user's policy ────► the requests of that user
                       AssumeRole of a mount's role, with
                       a policy for the mounts that have it ─► the requests of that user in these mounts
                    └► no role ──────────────────────────────► all other requests, if the storage has no role

Each set of credentials is renewed as `renewal` says. At most `MOST_SCOPES` of them are kept.

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
"""Scopes (users, or their mounts with one role) whose credentials are kept. Those of others are requested
again when they send a request."""
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


class FixedCredentials:
    """Keys that are never renewed, with the methods that `RoleCredentials` needs."""

    generation = 0

    def __init__(self, keys: FrozenCredentials) -> None:
        self._keys = keys

    async def get_frozen_credentials(self) -> FrozenCredentials:
        return self._keys

    async def renew(self, seen: int, *, doubtful: bool = False) -> bool:
        """There are no others."""
        return False

    async def close(self) -> None:
        pass


class AssumableRole:
    """The roles of one storage, and a client of STS that is opened when it is first needed."""

    def __init__(self, options: S3Options, session: AioSession) -> None:
        """`session` signs the requests to STS with the server's own credentials."""
        self._options = options
        self._session = session
        self._opened = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._sts: Any = None

    def name_of(self, scope: UserScope | None) -> str:
        """Which role it is, and for whom, for the log."""
        if scope is None:
            return f"role {self._options.role_arn} (s3.role_arn)"
        option = f"role {self._options.role_arn} (s3.role_arn)"
        if scope.role is not None:
            option = f"role {scope.role.arn} (role_arn of a mount)"
        return f"{option} as {scope.session_name}"

    async def assume(self, scope: UserScope | None) -> AssumedCredentials:
        """Request credentials from STS. Raises whatever botocore raises."""
        fields = {} if scope is None else {"Policy": scope.policy}
        role_arn, external_id = self._options.role_arn, self._options.external_id
        if scope is not None and scope.role is not None:
            role_arn, external_id = scope.role.arn, scope.role.external_id
        if external_id is not None:
            fields["ExternalId"] = external_id
        client = await self._client()
        answer = await client.assume_role(
            RoleArn=role_arn,
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
    """The credentials of one session of a role, renewed before they expire."""

    def __init__(self, role: AssumableRole, scope: UserScope | None, patience: float) -> None:
        super().__init__(AioSession, patience)
        self._role = role
        self._scope = scope

    async def _search(self) -> Any:
        self._source = self._role.name_of(self._scope)
        return await self._role.assume(self._scope)


class RoleCredentials(AioCredentials):  # type: ignore[misc]  # aiobotocore is not typed throughout
    """The credentials that the request being sent needs: those of its user, or the server's own.

    Call `close` at the end.
    """

    def __init__(
        self,
        role: AssumableRole,
        own: RenewableCredentials | FixedCredentials | None,
        patience: float,
        *,
        signs_as_own: bool = False,
    ) -> None:
        """`own`: the credentials with which the roles are assumed; closed with these. `signs_as_own`: they
        also sign the server's own requests, because the storage has no role."""
        super().__init__("", "", method="s3sftp-role")
        self._role = role
        self._own = own
        self._signing = own if signs_as_own else None
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

    def _current(self) -> SessionOfRole | RenewableCredentials | FixedCredentials:
        scope = current_scope()
        if scope is None and self._signing is not None:
            return self._signing
        found = self._sessions.get(scope)
        if found is None:
            found = self._sessions[scope] = SessionOfRole(self._role, scope, self._patience)
            if len(self._sessions) > MOST_SCOPES:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(scope)
        return found
