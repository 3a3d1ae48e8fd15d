"""One server and one browser for the tests of a file, which share an event loop; a profile for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from testbed.s3_store import Store
from tests.console.console_page import ConsolePage, console_page
from tests.console.console_server import ConsoleServer, console_server
from tests.support.browser import chromium


@pytest.fixture(scope="module")
def server(seaweed: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleServer]:
    """A server with two workers."""
    with console_server(tmp_path_factory.mktemp("console") / "server", seaweed) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def console(browser: Browser, server: ConsoleServer) -> AsyncIterator[ConsolePage]:
    """The console, not yet opened. Whatever the browser complains about at the end fails the test."""
    async with console_page(browser, server) as page:
        yield page
        assert page.watched.complaints == []
