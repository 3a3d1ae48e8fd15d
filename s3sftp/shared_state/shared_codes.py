"""Remembers in the table which verification codes have been used, so that each opens one login on all
replicas together (RFC 6238, 5.2).

A user has one item: the latest time step whose code was used. A write whose condition is that its step is a
later one decides, in DynamoDB, which of several replicas may accept a code.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets

from s3sftp.auth.sources.asking import SourceFailed
from s3sftp.auth.totp import STEP_SECONDS
from s3sftp.errors import UsersUnavailable
from s3sftp.shared_state.table import Only, Sets, SharedTable
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.log_throttle import LogThrottle

_log = get_logger("s3sftp.shared_state")
CODES = "codes"
"""The partition key of all codes."""
_KEPT_SECONDS = 86400
"""How long after its time a code is remembered: DynamoDB and replicas may have other clocks."""
_UNUSED = Only("attribute_not_exists(#step) OR #step < :step OR (#step = :step AND #token = :token)", {})
"""The last case is a request that is repeated because its answer was lost."""


class SharedCodes:
    """The used codes of all replicas."""

    def __init__(self, table: SharedTable, *, accepts_unproven: bool) -> None:
        """`accepts_unproven`: what `use` returns while the table does not answer, instead of raising."""
        self._table = table
        self._accepts_unproven = accepts_unproven
        self._throttle = LogThrottle()

    async def use(self, secret: str, step: int) -> bool:
        """Use the code of a time step. Returns False if a replica has used it, or a later one.

        Raises UsersUnavailable: if nobody knows, and that is not accepted.
        """
        user = hashlib.sha256(f"s3sftp totp {secret}".encode()).hexdigest()
        sets: Sets = {
            "step": step,
            "token": secrets.token_hex(8),
            "expires": (step + 1) * STEP_SECONDS + _KEPT_SECONDS,
        }
        try:
            return await self._table.update(CODES, user, sets, only=_UNUSED) is not None
        except SourceFailed as failed:
            self._warn(str(failed))
            if self._accepts_unproven:
                return True
            raise UsersUnavailable("nobody knows whether another replica has accepted the code") from None

    def _warn(self, problem: str) -> None:
        suppressed = self._throttle.allow("", asyncio.get_running_loop().time())
        if suppressed is not None:
            _log.error(
                "shared_state.code_unproven",
                place=self._table.place,
                problem=problem,
                accepted=self._accepts_unproven,
                suppressed=suppressed or None,
            )
