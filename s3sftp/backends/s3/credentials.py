"""Credentials that can be renewed while requests are running.

botocore renews temporary credentials before they expire, but only those: a rotated key in a file, or a token
withdrawn early, stays in use until the process ends. These ask the standard chain again when S3 says no.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import NoCredentialsError

from s3sftp.backends.s3.descriptions import descriptions
from s3sftp.backends.s3.options import S3Options

DOUBT_INTERVAL = 60.0
"""Seconds between renewals on an answer that may mean something else (HEAD never says why)."""


class RenewableCredentials(AioCredentials):  # type: ignore[misc]  # aiobotocore is not typed throughout
    """What the standard chain says, asked again by `renew`."""

    def __init__(self, profile: str | None) -> None:
        super().__init__("", "", method="s3sftp-chain")
        self._profile = profile
        self._inner: Any = None
        self._lock = asyncio.Lock()
        self._resolved_at = -DOUBT_INTERVAL
        self.generation = 0
        """Grows with every renewal that brought other credentials."""

    async def get_frozen_credentials(self) -> Any:
        """What botocore signs a request with."""
        if self._inner is None:
            async with self._lock:
                if self._inner is None:
                    self._inner = await self._resolve()
        return await self._inner.get_frozen_credentials()

    async def renew(self, seen: int, *, doubtful: bool = False) -> bool:
        """Ask the chain again; whether a request signed at generation `seen` is worth another try."""
        async with self._lock:
            if self.generation != seen:
                return True
            if doubtful and time.monotonic() - self._resolved_at < DOUBT_INTERVAL:
                return False
            before = None if self._inner is None else await self._inner.get_frozen_credentials()
            fresh = await self._resolve()
            if await fresh.get_frozen_credentials() == before:
                return False
            self._inner = fresh
            self.generation += 1
            return True

    async def _resolve(self) -> Any:
        session = _session(self._profile)
        found = await session.get_credentials()
        self._resolved_at = time.monotonic()
        if found is None:
            raise NoCredentialsError
        return found


class _Provider:
    """Stands where botocore's chain of providers stands, and hands out the renewable ones."""

    def __init__(self, credentials: AioCredentials) -> None:
        self._credentials = credentials

    async def load_credentials(self) -> AioCredentials:
        return self._credentials


def _session(profile: str | None) -> AioSession:
    session = get_session()
    if profile is not None:
        session.set_config_variable("profile", profile)
    session.register_component("data_loader", descriptions(session.get_config_variable("data_path")))
    return session


def session_with(options: S3Options) -> tuple[AioSession, RenewableCredentials | None]:
    """A session that signs as the options say; fixed keys have nothing to renew."""
    session = _session(options.profile)
    renewable = None
    if options.access_key_id is not None and options.secret_access_key is not None:
        token = options.session_token.get_secret_value() if options.session_token else None
        session.set_credentials(
            options.access_key_id.get_secret_value(), options.secret_access_key.get_secret_value(), token
        )
    else:
        renewable = RenewableCredentials(options.profile)
        session.register_component("credential_provider", _Provider(renewable))
    return session, renewable
