"""A client of the admin API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from tests.admin.admin_client import AdminResponse, admin_port_of, ask
from tests.support.server import Server

TOKEN = "operators-0123456789abcdef0123456789abcdef"
READING = "dashboard-0123456789abcdef0123456789abcdef"
API = "/api/v1"


def token_file(directory: Path) -> Path:
    """A file with a token that may do everything, and one that may only read."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "tokens"
    file.write_text(f"ops {TOKEN}\ndashboard {READING} read-only\n")
    return file


class ApiClient:
    """Calls the API of a server by a token."""

    def __init__(self, server: Server, token: str = TOKEN) -> None:
        self._server = server
        self._token = token

    async def call(self, method: str, path: str, body: Any = None) -> AdminResponse:
        headers = {"Authorization": f"Bearer {self._token}"}
        more: dict[str, Any] = {"headers": headers}
        if body is not None:
            headers["Content-Type"] = "application/json"
            more["body"] = json.dumps(body)
        return await ask(admin_port_of(self._server), path, method, **more)

    async def get(self, path: str) -> Any:
        """The answer to a GET that is right."""
        answer = await self.call("GET", f"{API}{path}")
        assert answer.status == 200, (answer.status, answer.body)
        return json.loads(answer.body)

    async def until(self, path: str, holds: Callable[[Any], bool]) -> Any:
        """Ask until the answer is as wanted; the answer."""
        deadline = monotonic() + 30
        while not holds(said := await self.get(path)):
            assert monotonic() < deadline, said
            await asyncio.sleep(0.1)
        return said
