"""Real clients that do not wait for one answer before they send the next request."""

from __future__ import annotations

import asyncio

from tests.support.client_workspace import ClientWorkspace


async def test_asyncssh_lists_a_directory_right_behind_what_it_did_in_it(desk: ClientWorkspace) -> None:
    async with desk.clients.asyncssh() as connection, connection.start_sftp_client() as sftp:

        async def behind(change: asyncio.Future[None]) -> set[str]:
            await asyncio.sleep(0)  # it sends its request
            _, names = await asyncio.gather(change, sftp.listdir(desk.remote))
            return {str(name) for name in names} - {".", ".."}

        for number in range(20):
            one, two, directory = (f"{desk.remote}/{kind}{number}" for kind in ("one", "two", "directory"))
            file = await sftp.open(one, "wb")
            await file.write(b"x")
            assert await behind(asyncio.ensure_future(file.close())) == {f"one{number}"}
            assert await behind(asyncio.ensure_future(sftp.rename(one, two))) == {f"two{number}"}
            made = await behind(asyncio.ensure_future(sftp.mkdir(directory)))
            assert made == {f"two{number}", f"directory{number}"}
            assert await behind(asyncio.ensure_future(sftp.remove(two))) == {f"directory{number}"}
            assert await behind(asyncio.ensure_future(sftp.rmdir(directory))) == set()
