"""Starts what replicas share: bans in the process that has the admission gate, used verification codes and
what quotas count in each that serves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from s3sftp.app.ban_requests import answer_about_bans
from s3sftp.app.options import ServerOptions
from s3sftp.app.storage_options import place_identity
from s3sftp.auth import Defender
from s3sftp.auth.account_verifier import AccountVerifier
from s3sftp.auth.sources.asking import SourceFailed
from s3sftp.backends.findings import Finding
from s3sftp.errors import ConfigurationError
from s3sftp.fs import QuotaCounters
from s3sftp.telemetry.metric_catalogue import SHARED_STATE_REQUESTS
from s3sftp.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from s3sftp.shared_state.ban_sharing import BanSharing
    from s3sftp.shared_state.table import SharedTable

_ANSWER_SECONDS = 1.5
"""How long an operator's command waits for the table, before and after it."""


def shared_table(options: ServerOptions, metrics: Metrics, purpose: str) -> SharedTable | None:
    """The table, not started; None if none is configured. `purpose` is a label of the metric of requests."""
    if options.shared_state is None:
        return None
    from s3sftp.shared_state.table import SharedTable  # imports aiobotocore

    def count(result: str) -> None:
        metrics.add(SHARED_STATE_REQUESTS.row(purpose, result))

    return SharedTable(options.shared_state, count)


async def check_shared_state(options: ServerOptions) -> list[Finding]:
    """Send the table each kind of request, and report what would keep replicas from sharing."""
    table = shared_table(options, Metrics(), "bans")
    if table is None:
        return []
    try:
        await table.start()
        await table.check(socket.gethostname())
    except ConfigurationError as error:
        return [Finding("shared_state", "failed", "; ".join(error.problems))]
    except SourceFailed as failed:
        return [Finding("shared_state", "failed", f"{table.place}: {failed}")]
    finally:
        await table.close()
    return [Finding("shared_state", "ok", f"{table.place}: can be read and written")]


async def share_codes(
    options: ServerOptions, verifier: AccountVerifier, metrics: Metrics, started: AsyncExitStack
) -> None:
    """Have the verifier ask the table whether another replica has accepted a code. `started` ends that.

    Raises ConfigurationError: if the options cannot be used.
    """
    given, table = options.shared_state, shared_table(options, metrics, "codes")
    if given is None or table is None:
        return
    from s3sftp.shared_state.shared_codes import SharedCodes

    started.push_async_callback(table.close)
    await table.start()
    verifier.shared_codes = SharedCodes(table, accepts_unproven=given.unproven_codes == "accept")


async def share_quotas(
    options: ServerOptions, metrics: Metrics, started: AsyncExitStack
) -> QuotaCounters | None:
    """What quotas count, shared with the replicas; None if no table is configured, or if what is stored is on
    this machine alone. Asks nothing before there is a quota. `started` ends that, after the sessions."""
    given, table = options.shared_state, shared_table(options, metrics, "quotas")
    if given is None or table is None or options.backend != "s3":
        return None
    from s3sftp.shared_state.quota_table import QuotaTable
    from s3sftp.shared_state.shared_quotas import SharedQuotas

    def identify(storage: str, key: str) -> str:
        s3 = options.of_storage(storage).s3
        return place_identity(s3, key) if s3 else key

    quotas = SharedQuotas(
        QuotaTable(table, interval=given.interval.total_seconds(), metrics=metrics), identify
    )
    started.push_async_callback(quotas.stop)
    running = asyncio.create_task(quotas.run())

    async def end() -> None:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    started.push_async_callback(end)
    return quotas


@asynccontextmanager
async def ban_answers(
    options: ServerOptions, defender: Callable[[], Defender | None], metrics: Metrics
) -> AsyncIterator[Callable[[object], Awaitable[Mapping[str, Any]]]]:
    """Share the bans while the context is open. Yields what answers requests about them, as
    `answer_about_bans`.

    Raises ConfigurationError: if the table cannot be used, and waiting would not help.
    """
    given, table = options.shared_state, shared_table(options, metrics, "bans")
    if given is None or table is None:
        yield partial(answer_with_replicas, None, defender)
        return
    from s3sftp.shared_state.ban_sharing import BanSharing

    sharing = BanSharing(
        table,
        defender,
        socket.gethostname(),
        interval=given.interval.total_seconds(),
        memory_seconds=options.auth.ban_memory.total_seconds(),
        window_seconds=options.auth.ban_window.total_seconds(),
        metrics=metrics,
    )
    running: asyncio.Task[None] | None = None
    try:
        await sharing.start()
        running = asyncio.create_task(sharing.run())
        yield partial(answer_with_replicas, sharing, defender)
    finally:
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        await table.close()


async def answer_with_replicas(
    sharing: BanSharing | None,
    defender: Callable[[], Defender | None],
    request: object,
    seconds: float = _ANSWER_SECONDS,
) -> Mapping[str, Any]:
    """Answer by what all replicas know, and let them know what has changed, as far as the table answers
    within so many seconds each time; `warning` in the answer says if it does not.

    Raises InvalidRequest: if it cannot be done; the text says why.
    Raises TooManyBans: if no more can be added.
    """
    if sharing is None:
        return answer_about_bans(defender, request)
    has_read = await _exchange(sharing, seconds)
    answer = answer_about_bans(defender, request)
    if sharing.pending:
        await _exchange(sharing, seconds)
    trouble = "the shared table has not answered in time: "
    if sharing.is_down:
        trouble = "the shared table does not answer (shared_state.down in the log): "
    if sharing.pending:
        return {**answer, "warning": f"{trouble}other replicas learn of this when it does"}
    if not has_read or sharing.is_down:
        return {**answer, "warning": f"{trouble}other replicas may differ"}
    return answer


async def _exchange(sharing: BanSharing, seconds: float) -> bool:
    """Exchange with the table, unless it is down. Returns whether that was done in time."""
    if sharing.is_down:
        return False
    try:
        async with asyncio.timeout(seconds):
            await sharing.exchange()
    except TimeoutError:
        return False
    return not sharing.is_down
