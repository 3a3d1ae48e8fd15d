"""The console in Debian's chromium, while real clients are at work: it is true, and its buttons work."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest
from playwright.async_api import expect

from tests.console.console_page import ConsolePage
from tests.console.console_server import GUESSES, ConsoleServer
from tests.support.client_workspace import content
from tests.support.commands import Running
from tests.support.s3_client import s3_client

pytestmark = pytest.mark.asyncio(loop_scope="module")
expect.set_options(timeout=60_000)
MARKUP = "<img src=x onerror=\"document.title='owned'\"><b>"
HOSTILE = f"{MARKUP}\x1b[2J\u202efdp.exe"
SHOWN = f"{MARKUP}\\x1b[2J\\u202efdp.exe"


async def test_an_idle_server_is_shown_as_such(console: ConsolePage) -> None:
    await console.open_signed_in()
    page = console.page
    await expect(page.locator("#live .note")).to_have_text("No file is open for a transfer.")
    await expect(page.locator("#sessions .note")).to_have_text("Nobody is connected.")
    await expect(page.locator("#bans .note")).to_have_text("Nobody is banned.")
    await expect(page.locator("#state")).to_have_text("ready")
    await expect(page.locator("#health li").first).to_contain_text("works")
    status = await console.server.api("server")
    figures = await page.locator("#load").inner_text()
    assert status["version"] in figures
    assert len(status["dependencies"]) == await page.locator("#health li").count()


async def test_it_shows_what_the_api_says_and_what_clients_have_moved(
    console: ConsolePage, server: ConsoleServer, tmp_path: Path
) -> None:
    async with s3_client(server.store, server.bucket) as s3:
        await s3.put(f"{server.prefix}labels.zip", content(1_000_000))
    file = tmp_path / "big"
    file.write_bytes(content(1 << 20) * 30)
    await console.open_signed_in()
    page = console.page
    async with await Running.start(server.slow_upload(file, tmp_path / "batch", 800)) as upload:
        connection = await server.connect()
        async with connection, connection.start_sftp_client() as sftp:
            download = await sftp.open("/labels.zip", "rb")
            assert len(await download.read(250_000)) == 250_000
            down, up = console.row("live", "/labels.zip"), console.row("live", "/slow.bin")
            await expect(down.locator("data")).to_have_attribute("value", "250000")
            assert (await console.cells(down))["Moved"] == "250 kB of 1.00 MB"
            assert await down.locator("progress").evaluate("bar => bar.value") == pytest.approx(0.25)
            await expect(up).to_be_visible()
            assert await up.locator("progress").count() == 0  # nobody announces an upload's size
            before = await _bytes_of(server, "/slow.bin")
            await console.refreshed()
            shown = int(await up.locator("data").get_attribute("value") or 0)
            assert before <= shown <= await _bytes_of(server, "/slow.bin") < 30 << 20
            await _equal_sessions(console)
            assert len(await download.read()) == 750_000
            await download.close()
            await page.get_by_label("all", exact=True).check()
            ended = console.row("recent", "/labels.zip")
            await expect(ended.locator("data")).to_have_attribute("value", "1000000")
            assert (await console.cells(ended))["Outcome"].strip() == "committed"
        await expect(console.row("live", "/labels.zip")).to_have_count(0)
        assert upload.running
    await expect(console.row("recent", "/slow.bin")).to_contain_text("aborted")
    await _equal_costs(console)


async def _bytes_of(server: ConsoleServer, path: str) -> int:
    answer = await server.api("transfers?state=live")
    return next(int(item["bytes"]) for item in answer["items"] if item["path"] == path)


async def _equal_sessions(console: ConsolePage) -> None:
    sessions = (await console.server.api("sessions"))["items"]
    assert len(sessions) == 2
    for session in sessions:
        cells = await console.cells(console.row("sessions", session["id"]))
        assert cells["User"] == f"{session['user']}{session['method']}"
        assert cells["From"] == f"{session['peer']}{session['client']}"
        assert int(cells["Files"]) == session["handles"] == 1


async def _equal_costs(console: ConsolePage) -> None:
    """What a user has cost, as the page shows it and as the API says it, when nothing moves any more."""
    (cost,) = (await console.server.api("costs"))["items"]
    row = console.row("costs", cost["user"])
    for amount in (cost["bytes_in"], cost["bytes_out"]):
        await expect(row.locator(f"data[value='{amount}']")).to_be_visible()
    await expect(row.locator("td[data-label='S3 requests']")).to_have_text(str(cost["s3_requests"]))
    assert cost["bytes_out"] >= 1_000_000


async def test_a_session_is_disconnected_by_its_button_and_its_upload_appears_with_the_reason(
    console: ConsolePage, server: ConsoleServer, tmp_path: Path
) -> None:
    file = tmp_path / "big"
    file.write_bytes(content(1 << 20) * 30)
    await console.open_signed_in()
    async with await Running.start(server.slow_upload(file, tmp_path / "batch", 800)) as upload:
        await console.row("live", "/slow.bin").wait_for()
        button = console.row("sessions", "OpenSSH").get_by_role("button")
        await expect(button).to_have_accessible_name("Disconnect alice from " + await _peer(server))
        await button.click()
        dialog = console.page.get_by_role("dialog", name="Disconnect alice?")
        await dialog.get_by_role("button", name="Cancel").click()
        assert upload.running
        await button.click()
        await dialog.get_by_role("button", name="Disconnect").click()
        await expect(console.page.locator("#said")).to_contain_text("is being disconnected")
        (await upload.result()).failed()
    failed = console.row("recent", "/slow.bin").first
    (reason, *_) = [
        item["reason"]
        for item in (await server.api("transfers?state=recent"))["items"]
        if item["path"] == "/slow.bin"
    ]
    await expect(failed).to_contain_text(f"aborted {reason}")
    await expect(console.page.locator("#sessions .note")).to_have_text("Nobody is connected.")


async def _peer(server: ConsoleServer) -> str:
    (session,) = (await server.api("sessions"))["items"]
    return str(session["peer"])


async def test_failed_logins_are_listed_and_a_ban_is_lifted_by_its_button(
    console: ConsolePage, server: ConsoleServer
) -> None:
    source = "127.0.0.61"
    for _ in range(GUESSES):
        with pytest.raises((asyncssh.Error, OSError)):
            await server.connect(source, client_keys=None, password="wrong")
    await console.open_signed_in()
    login = await console.cells(console.row("logins", source).first)
    said = next(each for each in (await server.api("logins/failed"))["items"] if source in each["peer"])
    assert (login["User"], login["From"]) == ("alice", said["peer"])
    assert login["Why"] == f"{said['reason']}{said['method']}"
    ban = console.row("bans", source)
    assert "password" in (await console.cells(ban))["Why"]
    await ban.get_by_role("button", name=f"Lift the ban of {source}").click()
    await expect(console.page.locator("#said")).to_have_text(f"{source} is not banned any more")
    await expect(console.page.locator("#bans .note")).to_have_text("Nobody is banned.")
    assert (await server.api("bans"))["items"] == []
    (await server.connect(source)).close()


async def test_names_that_clients_chose_are_text_and_nothing_else(
    console: ConsolePage, server: ConsoleServer
) -> None:
    await asyncio.to_thread(_fail_to_log_in, server, MARKUP)
    connection = await server.connect(client_version=f"{HOSTILE[:14]}")
    async with connection, connection.start_sftp_client() as sftp:
        file = await sftp.open(f"/{HOSTILE}", "wb")
        await file.write(b"x")
        await console.open_signed_in()
        await expect(console.row("live", SHOWN)).to_be_visible()
        await expect(console.row("logins", MARKUP)).to_be_visible()
        await expect(console.row("sessions", HOSTILE[:14])).to_be_visible()
    await expect(console.row("recent", SHOWN)).to_be_visible()
    assert await console.page.locator("main img, main b b, main script").count() == 0
    assert await console.page.title() == "s3sftp console"


def _fail_to_log_in(server: ConsoleServer, user: str) -> None:
    """One wrong password. asyncssh would refuse such a name itself."""
    transport = paramiko.Transport((server.host, server.port))
    try:
        with pytest.raises(paramiko.SSHException):
            transport.connect(username=user, password="wrong")
    finally:
        transport.close()


async def test_what_is_looked_for_is_shown_alone_and_the_rest_is_counted(
    console: ConsolePage, server: ConsoleServer
) -> None:
    connection = await server.connect()
    async with connection, connection.start_sftp_client() as sftp:
        files = [await sftp.open(f"/{name}", "wb") for name in ("orders.csv", "labels.csv")]
        await console.open_signed_in()
        await console.page.get_by_label("User, file, session or address").fill("ORDERS")
        await expect(console.page.locator("#live tbody tr")).to_have_count(1)
        await expect(console.page.locator("#live")).to_contain_text("1 of 2 match what is looked for.")
        await console.page.get_by_label("User, file, session or address").fill("nowhere")
        await expect(console.page.locator("#live .note")).to_have_text("0 of 2 match what is looked for.")
        for file in files:
            await file.close()


async def test_series_are_drawn_as_the_api_has_them(console: ConsolePage, server: ConsoleServer) -> None:
    await console.open_signed_in()
    for name in ("Throughput", "Requests to S3", "Failed transfers"):
        drawing = console.page.get_by_role("img", name=f"{name}, last 15 minutes")
        await expect(drawing).to_be_visible()
    points = await console.page.locator("#requests polyline").get_attribute("points") or ""
    series: dict[str, list[Any]] = await server.api("series?minutes=15")
    assert 0 < len(points.split()) <= len(series["at"])
    assert len(set(map(len, series.values()))) == 1, json.dumps(series)[:500]
