"""The console drains the server."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import expect

from tests.console.console_page import ConsolePage
from tests.console.console_server import ConsoleServer

pytestmark = pytest.mark.asyncio(loop_scope="module")
expect.set_options(timeout=60_000)


async def test_a_drain_is_asked_for_and_shown(console: ConsolePage, server: ConsoleServer) -> None:
    await console.open_signed_in()
    await console.page.get_by_role("button", name="Drain").click()
    dialog = console.page.get_by_role("dialog", name="Drain the server?")
    connection = await server.connect()
    async with connection, connection.start_sftp_client() as sftp:
        await sftp.open("/held", "wb")
        await dialog.get_by_role("button", name="Drain").click()
        await expect(console.page.locator("#said")).to_have_text("The server drains.")
        assert await asyncio.wait_for(server.ended(), 60) == 0
    await expect(console.page.locator("#stale")).to_contain_text("The server has not answered since")
    # the browser itself reports that nobody listens
    console.watched.complaints[:] = [each for each in console.watched.complaints if "net::ERR_" not in each]
