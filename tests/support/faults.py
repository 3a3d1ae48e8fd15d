"""What can go wrong between the server and S3: rules for the fault proxy, and the actions they apply."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from testbed.request_log import Seen


@dataclass(frozen=True)
class Pass:
    """Nothing happens. Good for counting, and to let some requests through before another rule."""


@dataclass(frozen=True)
class Delay:
    """Wait before the request is passed on."""

    seconds: float


@dataclass(frozen=True)
class Answer:
    """Answer in the place of S3, which never sees the request.

    With `status=200` this is S3's habit of saying 200 and then putting an error into the body.
    """

    status: int
    code: str
    message: str = "made by a rule"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Foreign:
    """Answered by something that is not S3, such as a captive proxy or a broken gateway.

    S3 never sees the request, or does what was asked with `passed_on`, and its answer is lost.
    """

    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/html"),)
    passed_on: bool = False


@dataclass(frozen=True)
class Reset:
    """Break the connection when the head of a request has come; S3 never sees it."""


@dataclass(frozen=True)
class LoseReply:
    """S3 does what was asked; then the connection breaks before a byte of the answer."""


@dataclass(frozen=True)
class CutBody:
    """End the connection in the answer's body, after so many bytes."""

    after_bytes: int
    reset: bool = False
    """True: RST. False: a clean FIN."""


@dataclass(frozen=True)
class StallBody:
    """Stop in the answer's body after so many bytes, until the rule is released or the client goes."""

    after_bytes: int


@dataclass(frozen=True)
class FlipReplyByte:
    """Change one byte of the answer's body on its way."""

    at: int = 0


@dataclass(frozen=True)
class FlipRequestByte:
    """Change one byte of the request's body on its way."""

    at: int = 0


@dataclass(frozen=True)
class Hold:
    """Keep the request until the rule is released. S3 does not see it before."""


@dataclass(frozen=True)
class HoldReply:
    """S3 does what was asked at once; its answer is kept until the rule is released."""


@dataclass(frozen=True)
class Rewrite:
    """S3 does what was asked, and its answer is changed on its way: what another store would say.

    `change` gets the status, the fields of the head (names in lower case) and the body of the answer, and
    returns those to be sent. A length is added unless the fields have `transfer-encoding`.
    """

    change: Callable[[Reply], Reply]


@dataclass(frozen=True)
class Reply:
    """An answer as `Rewrite` sees it."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Meanwhile:
    """Do something else first, such as replacing the object, then pass the request on."""

    act: Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Strip:
    """Take a header out of the request, as if S3 did not know it. For stores that check no signatures."""

    header: str


Action = (
    Pass
    | Delay
    | Answer
    | Foreign
    | Reset
    | LoseReply
    | CutBody
    | StallBody
    | FlipReplyByte
    | FlipRequestByte
    | Hold
    | HoldReply
    | Rewrite
    | Meanwhile
    | Strip
)

FOREVER = 1 << 30


@dataclass(eq=False)
class Rule:
    """An action for some of the requests. Of several rules the first that applies wins."""

    action: Action
    apis: frozenset[str]
    """Empty: any."""
    key: re.Pattern[str]
    method: str
    """Empty: any."""
    query: re.Pattern[str]
    """Matched against `name=value` of each query parameter."""
    header: re.Pattern[str]
    """Matched against `name: value` of each header."""
    skip: int
    times: int
    matched: int = 0
    """Requests that fit the pattern, skipped ones included."""
    hits: int = 0
    """Requests that the action was applied to."""
    _hit: asyncio.Condition = field(default_factory=asyncio.Condition)
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def applies(self, seen: Seen) -> bool:
        """Whether the action is due for this request; counts it."""
        if not self._fits(seen):
            return False
        self.matched += 1
        if self.matched <= self.skip or self.hits >= self.times:
            return False
        self.hits += 1
        return True

    def _fits(self, seen: Seen) -> bool:
        return (
            (not self.apis or seen.api in self.apis)
            and (not self.method or seen.method == self.method)
            and self.key.search(seen.key) is not None
            and any(self.query.search(f"{name}={value}") for name, value in [*seen.query.items(), ("", "")])
            and any(self.header.search(f"{name}: {value}") for name, value in seen.headers.items())
        )

    async def announce(self) -> None:
        """Tell those who wait in `reached` that the action was applied."""
        async with self._hit:
            self._hit.notify_all()

    async def reached(self, hits: int = 1, timeout: float = 20) -> None:
        """Wait until the action was applied to so many requests."""
        async with asyncio.timeout(timeout), self._hit:
            await self._hit.wait_for(lambda: self.hits >= hits)

    def release(self) -> None:
        """Let go of what is held or stalled, now and from now on."""
        self._released.set()

    async def released(self) -> None:
        await self._released.wait()
