"""Asks a source of users: bounded in time and in repetitions.

asked ─► attempt ─► an answer
            │   ├─► SourceFailed that may be repeated ─► another attempt while retries and time are left
            │   └─► any other SourceFailed ────────────► raised
            └─ the time limit ends all of it
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from s3sftp.runtime.backoff import Backoff

T = TypeVar("T")
_PAUSES = Backoff(0.1, 1.0)


class SourceFailed(Exception):
    """A source gave no answer to a question; the text says why, for the operator."""

    def __init__(self, problem: str, result: str, *, is_down: bool, may_repeat: bool = False) -> None:
        super().__init__(problem)
        self.result = result
        """A label of the source's metric."""
        self.is_down = is_down
        """Whether the source cannot be reached at all, so that it would answer for no user."""
        self.may_repeat = may_repeat
        self.code = ""
        """The code of the error that a service of AWS has answered; empty for any other."""


async def ask_repeatedly(
    attempt: Callable[[], Awaitable[T]], *, limit: float, retries: int, count: Callable[[str], None]
) -> T:
    """The answer of the first attempt that has one. `limit` is in seconds, for all attempts together; `count`
    is called with the result of each.

    Raises SourceFailed: if there is no answer within the limit.
    """

    async def counted() -> T:
        try:
            answer = await attempt()
        except SourceFailed as failed:
            count(failed.result)
            raise
        count("answered")
        return answer

    try:
        async with asyncio.timeout(limit):
            for failures in range(1, retries + 1):
                try:
                    return await counted()
                except SourceFailed as failed:
                    if not failed.may_repeat:
                        raise
                await asyncio.sleep(_PAUSES.delay(failures) * random.uniform(0.5, 1.0))  # noqa: S311
            return await counted()
    except TimeoutError:
        count("timed_out")
        raise SourceFailed(f"no answer within {limit:g} s", "timed_out", is_down=True) from None
