"""A client of the admin port."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from tests.support.server import Server


@dataclass(frozen=True)
class AdminResponse:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def reasons(self) -> dict[str, str]:
        """Details by name."""
        return {reason["name"]: reason["detail"] for reason in self.json["reasons"]}

    @property
    def warnings(self) -> dict[str, str]:
        return {reason["name"]: reason["detail"] for reason in self.json["warnings"]}


async def ask(port: int, path: str, method: str = "GET", **more: Any) -> AdminResponse:
    """One request."""
    return await asyncio.to_thread(_ask, port, path, method, **more)


def _ask(port: int, path: str, method: str, **more: Any) -> AdminResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, **more)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return AdminResponse(answer.status, headers, answer.read())
    finally:
        connection.close()


def admin_port_of(server: Server) -> int:
    """Where the server, as started last, listens for operators."""
    return int(server.events("admin.listening")[-1]["port"])


async def until(
    server: Server, path: str, holds: Callable[[AdminResponse], bool], within: float = 30, every: float = 0.2
) -> AdminResponse:
    """Ask until an answer is as wanted; the answer."""
    deadline = monotonic() + within
    while not holds(said := await ask(admin_port_of(server), path)):
        assert monotonic() < deadline, said
        await asyncio.sleep(every)
    return said
