"""The tables of `s3sftp top` as rows of text, the same in a terminal and in a pipe. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from s3sftp.cli.readable_values import readable_bytes, readable_dollars, readable_seconds
from s3sftp.cli.server_snapshot import Item, ServerSnapshot

Row = tuple[str, ...]


@dataclass(frozen=True)
class TopTable:
    """One table: how many there are is in the title, and what is said if there are none."""

    title: str
    columns: Row
    rows: Sequence[Row]
    empty: str
    numbers: frozenset[str] = frozenset()
    """Columns of numbers, which are aligned at their ends."""


def headline(snapshot: ServerSnapshot) -> str:
    """The server in one line."""
    server, counters = snapshot.server, snapshot.server["counters"]
    buffered, budget = (readable_bytes(counters[each]) for each in ("buffered_bytes", "buffer_bytes"))
    return "  ".join(
        (
            f"s3sftp {server['version']}",
            server["state"],
            f"up {readable_seconds(server['uptime_seconds'])}",
            f"workers {server['workers']}",
            f"connections {counters['connections']}",
            f"sessions {counters['sessions']}",
            f"open files {counters['open_handles']}",
            f"buffered {buffered} of {budget}",
        )
    )


def throughput(snapshot: ServerSnapshot) -> str:
    """What moves now, and the most of the last 15 minutes."""
    moved = {"in": snapshot.bytes_in, "out": snapshot.bytes_out}
    requests = snapshot.s3_requests
    return "  ".join(
        (
            *(
                f"{way} {readable_bytes(_last(values))}/s (peak {readable_bytes(_most(values))}/s)"
                for way, values in moved.items()
            ),
            f"S3 {_last(requests):.1f} requests/s (peak {_most(requests):.1f} in 15 min)",
        )
    )


def problems(snapshot: ServerSnapshot) -> list[str]:
    """Dependencies that fail, and what the server could not say."""
    failing = [
        f"{each['name']} fails: {each['detail']}"
        for each in snapshot.server["dependencies"]
        if not each["ok"]
    ]
    return [*failing, *snapshot.missing]


def tables(snapshot: ServerSnapshot) -> list[TopTable]:
    """Everything, what matters at night first."""
    return [
        TopTable(
            "Transfers now",
            ("user", "file", "moved", "rate", "for", "S3", "session"),
            [_live(each) for each in snapshot.live],
            "no file is open for a transfer",
            frozenset({"moved", "rate", "for", "S3"}),
        ),
        TopTable(
            "Failed or aborted, the latest",
            ("ended", "user", "file", "outcome", "bytes", "session", "trace"),
            [_ended(each) for each in snapshot.failures],
            "none since the server was started",
            frozenset({"bytes"}),
        ),
        TopTable(
            "Sessions",
            ("user", "from", "client", "idle", "files", "in", "out", "session"),
            [_session(each) for each in snapshot.sessions],
            "nobody is connected",
            frozenset({"idle", "files", "in", "out"}),
        ),
        TopTable(
            "Cost today",
            ("user", "dollars", "S3 requests", "in", "out"),
            [_cost(each) for each in snapshot.costs],
            "nobody has caused a request today",
            frozenset({"dollars", "S3 requests", "in", "out"}),
        ),
        TopTable(
            "Bans",
            ("source", "why", "ends in"),
            [
                (each["source"], each["reason"], readable_seconds(each["remaining_seconds"]))
                for each in snapshot.bans
            ],
            "nobody is banned",
            frozenset({"ends in"}),
        ),
        TopTable(
            "Failed logins, the latest",
            ("at", "user", "from", "method", "why"),
            [_failed_login(each) for each in snapshot.failed_logins],
            "none since the server was started",
        ),
    ]


def _live(transfer: Item) -> Row:
    size = transfer["size"]
    moved = readable_bytes(transfer["bytes"])
    if size and transfer["bytes"] <= size:
        moved += f" of {readable_bytes(size)}, {100 * transfer['bytes'] // size} %"
    return (
        transfer["user"],
        _file(transfer),
        moved,
        f"{readable_bytes(transfer['bytes_per_second'])}/s",
        readable_seconds(transfer["seconds"]),
        str(transfer["s3_requests"]),
        transfer["session"],
    )


def _ended(transfer: Item) -> Row:
    why = ": ".join(each for each in (transfer["reason"], transfer["error"]) if each)
    return (
        _time(transfer["ended_at"]),
        transfer["user"],
        _file(transfer),
        f"{transfer['state']} {why}".rstrip(),
        readable_bytes(transfer["bytes"]),
        transfer["session"],
        transfer["trace_id"] or "-",
    )


def _session(session: Item) -> Row:
    return (
        session["user"],
        session["peer"],
        session["client"],
        readable_seconds(session["idle_seconds"]),
        str(session["handles"]),
        readable_bytes(session["bytes_in"]),
        readable_bytes(session["bytes_out"]),
        session["id"],
    )


def _cost(cost: Item) -> Row:
    return (
        cost["user"],
        readable_dollars(cost["s3_dollars"]),
        str(cost["s3_requests"]),
        readable_bytes(cost["bytes_in"]),
        readable_bytes(cost["bytes_out"]),
    )


def _failed_login(login: Item) -> Row:
    return (_time(login["time"]), login["user"], login["peer"], login["method"], login["reason"])


def _file(transfer: Item) -> str:
    return f"{ {'upload': '↑', 'download': '↓'}.get(transfer['direction'], '#') } {transfer['path']}"


def _time(at: Any) -> str:
    """Day of the month and time of day in UTC, from ISO 8601."""
    return str(at)[5:19].replace("T", " ") if at else "-"


def _last(values: Sequence[float]) -> float:
    return values[-1] if values else 0.0


def _most(values: Sequence[float]) -> float:
    return max(values, default=0.0)
