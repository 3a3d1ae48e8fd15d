"""What a running server is doing, as its API says it at one time: what `s3sftp top` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from s3sftp.cli.admin_client import AdminClient, CannotAskServer, ServerIsAway

Item = Mapping[str, Any]
_LATEST = 50
_MOST = 1000
_SERIES_MINUTES = 15


@dataclass(frozen=True)
class ServerSnapshot:
    """Answers of the API, by what they are about."""

    at: datetime
    server: Item
    live: Sequence[Item]
    failures: Sequence[Item]
    """Transfers that failed or were aborted, the latest first."""
    sessions: Sequence[Item]
    bans: Sequence[Item]
    failed_logins: Sequence[Item]
    costs: Sequence[Item]
    bytes_in: Sequence[float]
    """Per second, over the last minutes."""
    bytes_out: Sequence[float]
    s3_requests: Sequence[float]
    missing: Sequence[str]
    """Why something is not here: one sentence each."""


def take_snapshot(client: AdminClient) -> ServerSnapshot:
    """Ask for everything.

    Raises ServerIsAway: if there is no answer.
    Raises CannotAskServer: if the server refuses the request for its state.
    """
    missing: list[str] = []
    server = client.get("server")

    def items(what: str, path: str, limit: int = _LATEST, **query: object) -> list[Item]:
        try:
            answer = client.get(path, limit=limit, **query)
        except ServerIsAway:
            raise
        except CannotAskServer as error:
            missing.append(f"no {what}: {error}")
            return []
        if answer.get("not_answered"):
            missing.append(f"worker {', '.join(map(str, answer['not_answered']))} did not answer for {what}")
        return list(answer["items"])

    failures = [
        *items("failed transfers", "transfers", state="recent", result="failed"),
        *items("aborted transfers", "transfers", state="recent", result="aborted"),
    ]
    series = client.get("series", minutes=_SERIES_MINUTES)
    seconds = 5  # of each interval
    return ServerSnapshot(
        at=datetime.now(UTC),
        server=server,
        live=items("transfers", "transfers", _MOST, state="live"),
        failures=sorted(failures, key=lambda each: str(each["ended_at"]), reverse=True),
        sessions=items("sessions", "sessions", _MOST),
        bans=client.get("bans")["items"],
        failed_logins=items("failed logins", "logins/failed"),
        costs=client.get("costs")["items"],
        bytes_in=[value / seconds for value in series["bytes_in"]],
        bytes_out=[value / seconds for value in series["bytes_out"]],
        s3_requests=[value / seconds for value in series["s3_requests"]],
        missing=missing,
    )
