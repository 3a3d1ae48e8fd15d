"""Servers that do the same work in turns, so that what else the machine does slows down all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from bench.meter import cpu_seconds
from bench.serving import Serving


def cpu_by_turns(
    servers: Sequence[Serving], work: Callable[[Serving], None], turns: int, rest_seconds: float
) -> list[list[float]]:
    """CPU seconds of each server for each turn. Each does the work once before, which does not count; a
    server's last turn lasts until `rest_seconds` after the work, with what it still does then."""
    for server in servers:
        work(server)
    took: list[list[float]] = [[] for _ in servers]
    for turn in range(turns):
        began = [cpu_seconds(each.process.pid) for each in servers]
        first = turn % len(servers)
        for server in [*servers[first:], *servers[:first]]:
            work(server)
        if turn == turns - 1:
            time.sleep(rest_seconds)
        for seconds, server, since in zip(took, servers, began, strict=True):
            seconds.append(cpu_seconds(server.process.pid) - since)
    return took
