"""Makes the pictures of docs/console.md: `python -m tests.console.pictures`.

The figures are those of a real server, at which OpenSSH and asyncssh are at work.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import Any

import asyncssh

from testbed.seaweed import running_seaweed
from tests.console.console_page import console_page
from tests.console.console_server import GUESSES, ConsoleServer, console_server
from tests.support.browser import chromium
from tests.support.client_workspace import content
from tests.support.commands import Running
from tests.support.s3_client import s3_client

ASSETS = Path(__file__).parents[2] / "docs/assets"
SECONDS = 45
"""For how long there are figures in the charts."""


async def main() -> None:
    """Run a server, have clients at work, and take the pictures."""
    with running_seaweed() as store, tempfile.TemporaryDirectory() as name:
        with console_server(Path(name) / "server", store) as server:
            async with contextlib.AsyncExitStack() as stack:
                await _work(server, Path(name), stack)
                await _take(server)


async def _work(server: ConsoleServer, directory: Path, stack: contextlib.AsyncExitStack) -> None:
    async with s3_client(server.store, server.bucket) as s3:
        await s3.put(f"{server.prefix}labels-2026-11.zip", content(1 << 20) * 150)
    file = directory / "orders"
    file.write_bytes(content(1 << 20) * 200)
    upload = server.slow_upload(file, directory / "batch", 9000)
    (directory / "batch").write_text(f"mkdir /inbox\nput {file} /inbox/orders-2026-11-27.csv\n")
    await stack.enter_async_context(await Running.start(upload))
    for user in ("root", "admin", "alice", "test", "oracle")[:GUESSES]:
        with contextlib.suppress(asyncssh.Error, OSError):
            await server.connect("127.0.0.7", username=user, client_keys=None, password="guess")
    broken = await server.connect("127.0.0.12")
    sftp = await broken.start_sftp_client()
    half = await sftp.open("/inbox/invoice-4711.pdf", "wb")
    await half.write(b"x" * 348_211)
    broken.abort()
    connection = await stack.enter_async_context(await server.connect("127.0.0.11"))
    sftp = await stack.enter_async_context(connection.start_sftp_client())
    for number in range(5):
        async with sftp.open(f"/inbox/report-{number}.csv", "wb") as report:
            await report.write(b"x" * (number + 1) * 48_213)
    download = await sftp.open("/labels-2026-11.zip", "rb")
    reading = asyncio.create_task(_read_slowly(download))
    stack.callback(reading.cancel)
    await asyncio.sleep(SECONDS)


async def _read_slowly(file: Any) -> None:
    while await file.read(128 << 10):
        await asyncio.sleep(0.25)


async def _take(server: ConsoleServer) -> None:
    wide = {"viewport": {"width": 1280, "height": 960}}
    phone = {"viewport": {"width": 360, "height": 1400}}
    async with chromium() as browser:
        for name, options in {
            "dark": {**wide, "color_scheme": "dark"},
            "light": {**wide, "color_scheme": "light"},
            "phone": {**phone, "color_scheme": "light"},
        }.items():
            async with console_page(browser, server, **options) as console:
                await console.open_signed_in()
                await console.row("live", "orders").wait_for()
                await console.refreshed(3)
                await _save(console.page, name)


async def _save(page: Any, name: str) -> None:
    """The whole page; on a phone, which is long, down to the end of a section."""
    file = ASSETS / f"console-{name}.png"
    if name != "phone":
        await page.screenshot(path=file, full_page=True)
        return
    end = await page.evaluate("document.getElementById('sessions').getBoundingClientRect().bottom + scrollY")
    width = page.viewport_size["width"]
    clip = {"x": 0, "y": 0, "width": width, "height": end + 12}
    await page.screenshot(path=file, full_page=True, clip=clip)


if __name__ == "__main__":
    asyncio.run(main())
