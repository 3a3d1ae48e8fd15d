"""Debian's chromium, driven by playwright, and axe, which looks for what keeps people out of a page."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from tests.support.client_programs import Program
from tests.support.commands import installed

_FLAGS = (
    *("--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
)
_AXE = Program(
    name="axe",
    needs=("npm",),
    sources=("axe",),
    build=(
        ("mkdir", "-p", "{cache}/axe"),
        ("cp", "{programs}/axe/package.json", "{programs}/axe/package-lock.json", "{cache}/axe"),
        ("npm", "ci", "--prefix", "{cache}/axe", "--ignore-scripts", "--no-audit", "--no-fund"),
    ),
    command=("{cache}/axe/node_modules/axe-core/axe.min.js",),
)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window."""
    path = installed("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=_FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


class WatchedPage:
    """A page whose console, errors and requests are kept."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        """What the browser has complained about: errors, warnings, and what its policy forbids."""
        self.urls: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        page.on("request", lambda request: self.urls.append(request.url))

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")


@asynccontextmanager
async def watched_page(browser: Browser, **options: Any) -> AsyncIterator[WatchedPage]:
    """A page of a profile of its own. `options`: as of a context of playwright."""
    context = await browser.new_context(**options)
    context.set_default_timeout(60_000)
    try:
        yield WatchedPage(await context.new_page())
    finally:
        await context.close()


async def axe_findings(page: Page) -> list[str]:
    """What axe finds that is serious or critical: the rule and the elements."""
    await page.evaluate(Path(_AXE.ready()[0]).read_text("utf-8"))
    results: Mapping[str, Any] = json.loads(await page.evaluate("axe.run().then(JSON.stringify)"))
    return [
        f"{found['id']}: {[node['html'] for node in found['nodes']]}"
        for found in results["violations"]
        if found["impact"] in ("serious", "critical")
    ]
