"""Renews credentials while requests run, from sources that may fail or hang.

botocore renews temporary credentials before they expire, but no others: a rotated key in a file, or a token
revoked early, would stay in use until the process ends. These credentials ask the standard chain again when
S3 refuses them.

    request ─► credentials available, not about to expire ─────────────────────────► signed
                └─► one task asks the chain, for all requests ─► valid until then ─► signed
                                                   └─ none available: waits a while ─► signed, or an error
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession

from s3sftp.backends.s3.credentials.errors import CredentialSourceFailed, source_failed, source_name
from s3sftp.backends.s3.http.signing import FrozenCredentials
from s3sftp.runtime.cancellation import cancel_and_wait
from s3sftp.telemetry import get_logger

_log = get_logger("s3sftp.s3")
DOUBT_INTERVAL = 60.0
"""Seconds between renewals after a reply that may have another cause (HEAD never reports one)."""
_EARLY_SECONDS: Final = 15 * 60
"""Seconds before the expiry at which new credentials are requested."""
_LATEST_SECONDS: Final = 30
"""Seconds before the expiry from which credentials are no longer used to sign."""
_LONGEST_SECONDS: Final = 60.0
"""Maximum seconds for a source. Then its process is killed, and the next request asks again."""
_WAIT_SECONDS: Final = 8.0
"""Seconds from the start of a renewal for which requests wait, unless their own limit is shorter."""
_LEAST_SECONDS: Final = 1.0
"""Seconds that a request waits for a source that has already taken longer, or has failed before."""
_PAUSE_SECONDS: Final = 2.0
"""Seconds between a failure and the next renewal."""
_REPEAT_SECONDS: Final = 30.0
"""Seconds between a success whose credentials soon expire and the next renewal."""
_MOST_CHARACTERS: Final = 16 << 10


class RenewableCredentials(AioCredentials):  # type: ignore[misc]  # aiobotocore is not typed throughout
    """The credentials of the standard chain, renewed before they expire and by `renew`.

    Call `close` at the end.
    """

    def __init__(self, session: Callable[[], AioSession], patience: float) -> None:
        """`session` creates a session to ask its chain; a request waits at most `patience` seconds."""
        super().__init__("", "", method="s3sftp-chain")
        self._make_session = session
        self._wait_seconds = min(_WAIT_SECONDS, patience)
        self._frozen: FrozenCredentials | None = None
        self._found: Any = None
        self._asking: asyncio.Task[None] | None = None
        self._failed: str | None = None
        """The error of the latest renewal, if it failed."""
        self._asked_at = -DOUBT_INTERVAL
        self._not_before = 0.0
        self._source = "credentials"
        """The source that is being asked."""
        self.generation = 0
        """Increases with each renewal that returned different credentials."""

    async def get_frozen_credentials(self) -> FrozenCredentials:
        """Return the credentials for a request. Raises CredentialSourceFailed: if none are valid in time."""
        if self._frozen is not None and not self._expires_within(_EARLY_SECONDS):
            return self._frozen
        asking = self._ask()
        if self._frozen is not None and not self._expires_within(_LATEST_SECONDS):
            return self._frozen
        await self._wait_for(asking)
        if self._frozen is None or self._expires_within(0):
            waited = monotonic() - self._asked_at
            raise CredentialSourceFailed(self._failed or f"{self._source}: no answer in {waited:.0f} s")
        return self._frozen

    async def renew(self, seen: int, *, doubtful: bool = False) -> bool:
        """Ask the chain again; return whether a request signed at generation `seen` is worth a retry.

        `doubtful` limits renewals to one per `DOUBT_INTERVAL`, because the refusal may have another reason.
        """
        if self.generation != seen:
            return True
        if doubtful and monotonic() - self._asked_at < DOUBT_INTERVAL:
            return False
        if self._failed is None:
            self._not_before = 0.0
        await self._wait_for(self._ask())
        return self.generation != seen

    async def close(self) -> None:
        """Stop asking."""
        await cancel_and_wait(self._asking)

    def _expires_within(self, seconds: int) -> bool:
        needs_refresh = getattr(self._found, "refresh_needed", None)
        return needs_refresh is not None and bool(needs_refresh(seconds))

    def _ask(self) -> asyncio.Task[None] | None:
        """Return the task that asks the chain; None while it is too early to ask again."""
        if self._asking is not None and not self._asking.done():
            return self._asking
        if monotonic() < self._not_before:
            return None
        self._asked_at = monotonic()
        self._asking = asyncio.create_task(self._load())
        return self._asking

    async def _wait_for(self, asking: asyncio.Task[None] | None) -> None:
        """Wait for a renewal, for a limited time. The renewal continues after that."""
        if asking is not None:
            left = 0.0 if self._failed else self._asked_at + self._wait_seconds - monotonic()
            await asyncio.wait({asking}, timeout=max(left, min(_LEAST_SECONDS, self._wait_seconds)))

    async def _load(self) -> None:
        self._source = "credentials"
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                found = await self._search()
                frozen = _checked(await found.get_frozen_credentials())
        except Exception as failure:  # the chain can fail with many exceptions
            self._fail(str(source_failed(self._source, failure)))
            return
        self._not_before = monotonic() + _REPEAT_SECONDS
        self._found = found
        if self._frozen is not None and frozen != self._frozen:
            self.generation += 1
        self._frozen = frozen
        if self._failed is not None:
            _log.info("credentials.recovered", source=self._source)
        self._failed = None

    async def _search(self) -> Any:
        """Return the credentials of the first source that has some, and put its name into `_source`."""
        session = self._make_session()
        profile = session.get_config_variable("profile")
        for provider in session.get_component("credential_provider").providers:
            self._source = source_name(provider.METHOD, profile)
            found = await provider.load()
            if found is not None:
                self._source = source_name(found.method, profile)
                return found
        self._source = "credentials"
        raise CredentialSourceFailed(
            "no source has any: neither options, environment and profile, nor container and instance"
        )

    def _fail(self, text: str) -> None:
        self._not_before = monotonic() + _PAUSE_SECONDS
        if self._failed != text:  # once, not for each request
            _log.warning("credentials.failed", detail=text)
        self._failed = text


def _checked(frozen: Any) -> FrozenCredentials:
    """Return the credentials if a request can be signed with them.

    Raises CredentialSourceFailed: otherwise.
    """
    _require_text("access key", frozen.access_key)
    _require_text("secret key", frozen.secret_key)
    if frozen.token is not None:
        _require_text("session token", frozen.token)
    return frozen  # type: ignore[no-any-return]


def _require_text(name: str, text: object) -> None:
    if not isinstance(text, str) or not text or not text.isascii() or not text.isprintable():
        raise CredentialSourceFailed(f"the {name} that it gave is not printable text")
    if len(text) > _MOST_CHARACTERS:
        raise CredentialSourceFailed(f"the {name} that it gave is longer than {_MOST_CHARACTERS >> 10} KiB")
