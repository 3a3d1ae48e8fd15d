"""The console as a page: who can use it, what it does when the server is away, and what it never does."""

from __future__ import annotations

from collections import Counter
from typing import Any

import asyncssh
import pytest
from playwright.async_api import Browser, Route, expect

from s3sftp.cli.readable_values import readable_bytes, readable_dollars, readable_seconds
from tests.admin.admin_client import ask
from tests.console.console_page import API, ConsolePage, console_page
from tests.console.console_server import TOKEN, ConsoleServer
from tests.support.browser import axe_findings

pytestmark = pytest.mark.asyncio(loop_scope="module")
expect.set_options(timeout=60_000)
NUMBERS = [0, 1, 999, 999.4, 1000, 9_994, 9_996, 99_949, 99_951, 999_499, 999_500, 5e9, 1.5e13, 2e18]
AMOUNTS = [0, 1e-7, 0.000011, 0.0099, 0.01, 0.5, 1, 12.345]


async def test_nobody_may_frame_it_and_it_may_run_nothing_but_its_own_files(server: ConsoleServer) -> None:
    page = await ask(server.admin_port, "/console")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = dict(each.split(" ", 1) for each in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    text = page.body.decode()
    assert "<style" not in text
    assert " style=" not in text
    assert "http://" not in text
    assert (await ask(server.admin_port, "/console", "POST")).status == 405
    assert (await ask(server.admin_port, "/console/nothing.js")).status == 404
    moved = await ask(server.admin_port, "/console/")
    assert (moved.status, moved.headers["location"]) == (308, "../console")


async def test_the_token_is_in_no_address_and_no_storage_and_is_forgotten_by_a_reload(
    console: ConsolePage,
) -> None:
    await console.open_signed_in()
    await console.refreshed(1)
    assert not [url for url in console.watched.urls if TOKEN[:8] in url]
    kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, history.state])"
    assert await console.page.evaluate(kept) == '[{},{},"",null]'
    assert TOKEN not in await console.page.content()
    await console.page.reload()
    await expect(console.page.get_by_label("Token", exact=True)).to_be_focused()
    await expect(console.page.locator("#figures")).to_be_hidden()


async def test_a_wrong_token_is_said_and_tried_once(browser: Browser, server: ConsoleServer) -> None:
    async with console_page(browser, server) as console:
        await console.open()
        await console.sign_in("wrong")
        await expect(console.page.locator("#sign-in-why")).to_contain_text("The server refused this token")
        assert len([url for url in console.watched.urls if API in url]) == 1
        await console.sign_in()
        await expect(console.page.locator("#figures")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
async def test_axe_finds_nothing_serious_and_nothing_is_cut_off(
    browser: Browser, server: ConsoleServer, scheme: Any, width: int
) -> None:
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    async with console_page(browser, server, **options, reduced_motion="reduce") as console:
        page = console.page
        await console.open()
        assert await axe_findings(page) == []
        with pytest.raises((asyncssh.Error, OSError)):
            await server.connect("127.0.0.63", username="x" * 200, client_keys=None, password="x")
        connection = await server.connect()
        async with connection, connection.start_sftp_client() as sftp:
            file = await sftp.open(f"/{'long' * 40}.csv", "wb")
            await file.write(b"x" * 1000)
            await console.sign_in()
            await console.row("live", "long").wait_for()
            await console.row("logins", "xxx").first.wait_for()
            assert await axe_findings(page) == []
            wider = (
                "[...document.querySelectorAll('html, section')].filter(e => e.scrollWidth > e.clientWidth)"
            )
            assert await page.evaluate(f"{wider}.map(e => e.outerHTML)") == []
            await console.row("sessions", "alice").get_by_role("button").click()
            assert await axe_findings(page) == []
            await page.keyboard.press("Escape")


async def test_the_keyboard_is_enough_and_refreshes_leave_the_focus_alone(
    console: ConsolePage, server: ConsoleServer
) -> None:
    connection = await server.connect()
    async with connection:
        async with connection.start_sftp_client():
            await console.open()
            await expect(console.page.get_by_label("Token", exact=True)).to_be_focused()
            await console.page.keyboard.type(TOKEN)
            await console.page.keyboard.press("Enter")
            button = console.row("sessions", "alice").get_by_role("button")
            await button.wait_for()
            for _ in range(40):
                if await button.evaluate("button => button === document.activeElement"):
                    break
                await console.page.keyboard.press("Tab")
            await expect(button).to_be_focused()
            await console.refreshed(2)
            await expect(button).to_be_focused()
            await console.page.keyboard.press("Enter")
            await expect(console.page.get_by_role("button", name="Cancel")).to_be_focused()
            await console.page.keyboard.press("Escape")
            await expect(button).to_be_focused()
        await expect(console.row("sessions", "alice")).to_have_count(0)
        await expect(console.page.get_by_role("heading", name="Sessions")).to_be_focused()


async def test_figures_are_called_old_while_the_server_is_away_and_are_new_when_it_is_back(
    browser: Browser, server: ConsoleServer
) -> None:
    async with console_page(browser, server) as console:
        await console.open_signed_in()
        stale = console.page.locator("#stale")
        await expect(stale).to_be_empty()
        await console.page.context.set_offline(True)
        await expect(stale).to_contain_text("The server has not answered since")
        await expect(console.page.locator("#age")).to_contain_text("old, asking again in")
        await expect(console.page.locator("#figures")).to_be_visible()
        said = await stale.text_content()
        await console.page.context.set_offline(False)
        await expect(stale).to_be_empty()
        await expect(console.page.locator("#age")).to_contain_text("figures of")
        assert said is not None
        assert "The figures are those of then." in said


async def test_a_server_that_does_not_answer_is_not_asked_again_meanwhile(
    browser: Browser, server: ConsoleServer
) -> None:
    async with console_page(browser, server) as console:
        await console.page.clock.install()  # of time limits, too
        await console.open_signed_in()
        held: list[Route] = []
        await console.page.route(f"**{API}**", lambda route: held.append(route))
        while not held:
            await console.page.clock.run_for(500)
        await console.page.clock.run_for(8_000)  # less than the time limit of a request
        asked = Counter(route.request.url for route in held)
        assert set(asked.values()) == {1}
        await console.page.clock.run_for(60_000)  # in which a server that answers is asked 30 times
        assert max(Counter(route.request.url for route in held).values()) <= 6


async def test_pauses_grow_while_the_server_is_away_and_have_a_bound(console: ConsolePage) -> None:
    await console.open()
    script = """async failures => {
        const {pauseSeconds} = await import("/console/polling.js");
        return failures.map(each => [pauseSeconds(each, 0), pauseSeconds(each, 1)]);
    }"""
    pauses = await console.page.evaluate(script, [0, 1, 2, 3, 4, 50])
    assert pauses == [[2, 2], [3, 4], [6, 8], [12, 16], [22.5, 30], [22.5, 30]]


async def test_values_read_the_same_here_and_in_the_commands(console: ConsolePage) -> None:
    await console.open()
    script = """async ([numbers, amounts]) => {
        const {bytes, duration, dollars} = await import("/console/format.js");
        return [numbers.map(bytes), numbers.map(duration), amounts.map(dollars)];
    }"""
    shown = await console.page.evaluate(script, [NUMBERS, AMOUNTS])
    assert shown == [
        [readable_bytes(each) for each in NUMBERS],
        [readable_seconds(each) for each in NUMBERS],
        [readable_dollars(each) for each in AMOUNTS],
    ]


async def test_a_share_is_shown_only_if_there_is_one_and_a_stall_is_seen(console: ConsolePage) -> None:
    await console.open()
    script = """async () => {
        const {share} = await import("/console/transfers.js");
        const {Speeds} = await import("/console/speed.js");
        const speeds = new Speeds();
        const taken = [[0, 0], [1, 100], [3, 600], [14, 600], [20, 600]].map(([at, bytes]) => {
            speeds.take([{id: "a", bytes}], at);
            return speeds.of("a");
        });
        const shares = [[5, null], [5, 10], [0, 0], [11, 10], [10, 10]];
        return [shares.map(([bytes, size]) => share({bytes, size})), taken, speeds.of("b")];
    }"""
    shares, taken, unknown = await console.page.evaluate(script)
    assert shares == [None, 0.5, None, None, 1]
    assert taken == [
        None,
        {"rate": 100, "seconds": 1},
        {"rate": 200, "seconds": 3},
        {"rate": 0, "seconds": 11},
        {"rate": 0, "seconds": 6},
    ]
    assert unknown is None
