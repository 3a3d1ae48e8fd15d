"""The console as an operator has it in a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Locator

from tests.console.console_server import TOKEN, ConsoleServer
from tests.support.browser import WatchedPage, watched_page

API = "/api/v1/"


class ConsolePage:
    """A page that shows the console of a server."""

    def __init__(self, watched: WatchedPage, server: ConsoleServer) -> None:
        self.watched = watched
        self.page = watched.page
        self.server = server

    async def open(self) -> None:
        await self.page.goto(f"{self.server.admin_url}/console")

    async def sign_in(self, token: str = TOKEN) -> None:
        await self.page.get_by_label("Token", exact=True).fill(token)
        await self.page.keyboard.press("Enter")

    async def open_signed_in(self) -> None:
        await self.open()
        await self.sign_in()
        await self.page.locator("#figures").wait_for()

    def row(self, section: str, text: str) -> Locator:
        """The row of a section's table that has a text."""
        return self.page.locator(f"#{section} tbody tr").filter(has_text=text)

    async def cells(self, row: Locator) -> dict[str, str]:
        """The cells of a row by the names of their columns."""
        found: list[tuple[str, str]] = await row.evaluate(
            "row => [...row.cells].map(cell => [cell.dataset.label, cell.textContent])"
        )
        return dict(found)

    async def refreshed(self, times: int = 2) -> None:
        """Wait until the page has asked for the sessions some more times, and has shown what it got."""
        for _ in range(times):
            async with self.page.expect_response(lambda answer: f"{API}sessions" in answer.url) as got:
                pass
            await (await got.value).finished()
        await self.page.evaluate("() => new Promise(requestAnimationFrame)")


@asynccontextmanager
async def console_page(browser: Browser, server: ConsoleServer, **options: Any) -> AsyncIterator[ConsolePage]:
    """A page of a profile of its own, not yet opened. `options`: as of a context of playwright."""
    async with watched_page(browser, **options) as watched:
        yield ConsolePage(watched, server)
