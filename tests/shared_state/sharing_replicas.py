"""Two replicas in this process that share bans through a table of moto."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from s3sftp.auth import AuthOptions, Defender, Offence
from s3sftp.shared_state import SharedStateOptions
from s3sftp.shared_state.ban_sharing import BanSharing
from s3sftp.shared_state.table import SharedTable as Table
from s3sftp.telemetry.metrics import Metrics
from tests.support.aws_users import Relay, running_relay
from tests.support.shared_table import SharedTable


class Replica:
    """A defender and its sharing, which exchanges only when it is told to."""

    def __init__(
        self,
        shared_table: SharedTable,
        name: str,
        url: str = "",
        *,
        failures: int = 2,
        window_seconds: float = 1e9,  # no test crosses into the next one
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`failures` within `window_seconds` make a ban. `clock` is the defender's."""
        options = AuthOptions(
            ban_failures=failures,
            ban_time=timedelta(minutes=10),
            ban_window=timedelta(seconds=min(window_seconds, 600)),
        )
        self.defender = Defender(options, clock=clock)
        self.table = Table(SharedStateOptions(**shared_table.options(url)), lambda _result: None)
        self.sharing = BanSharing(
            self.table,
            lambda: self.defender,
            name,
            interval=1,
            memory_seconds=86400,
            window_seconds=window_seconds,
            metrics=Metrics(),
            wall_clock=wall_clock,
        )
        self.exchange = self.sharing.exchange
        self.aclose = self.table.close

    def offends(self, source: str) -> None:
        """What makes a ban."""
        for _ in range(2):
            self.defender.offended(source, Offence.PASSWORD)

    def bans(self) -> list[str]:
        return sorted(ban.source for ban, _ in self.defender.bans())


@asynccontextmanager
async def replicas(
    shared_table: SharedTable, ahead: float = 0.0, failures: int = 2
) -> AsyncIterator[tuple[Replica, Replica, Relay]]:
    """Two replicas that have started; the first one reaches the table through a relay. `ahead`: seconds by
    which its clock is ahead of the other's."""
    async with AsyncExitStack() as open_:
        relay = await open_.enter_async_context(running_relay(shared_table.moto))
        one = Replica(
            shared_table, "one", relay.url, failures=failures, wall_clock=lambda: time.time() + ahead
        )
        both = one, Replica(shared_table, "other", failures=failures)
        for each in both:
            open_.push_async_callback(each.aclose)
            await each.sharing.start()
            await each.exchange()
        yield (*both, relay)
