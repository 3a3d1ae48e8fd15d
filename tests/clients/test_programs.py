"""Libraries of a dozen languages, each driven by a program of ours through one checklist."""

from __future__ import annotations

import pytest

from tests.support.client_programs import ALL, Program
from tests.support.client_workspace import ClientWorkspace, content
from tests.support.commands import run
from tests.support.partner_server import PartnerServer

SMALL, LARGE = content(1000, 1), content(6 * 1024 * 1024 + 7, 2)


@pytest.mark.timeout(900)  # the first run builds what is kept in .cache/clients
@pytest.mark.parametrize("program", ALL, ids=lambda program: program.name)
async def test_a_program_finds_all_that_it_needs(program: Program, partner_desk: ClientWorkspace) -> None:
    desk = partner_desk
    command = program.ready()
    result = await run(command, await _told(desk, program), timeout=150)
    said = result.out.decode(errors="replace").splitlines()
    failed = [line for line in said if line.startswith("FAIL ")]
    assert failed == [], result.text
    assert {line.removeprefix("PASS ") for line in said if line.startswith("PASS ")} == program.expected, (
        result.text
    )
    left = await desk.keys()
    if "rmdir" not in program.expected:
        left = [key for key in left if not key.endswith("/")]
    assert left == ["kept", "seed.txt", "seeded/inner.txt"]
    assert await desk.body("kept") == LARGE
    assert await desk.uploads() == []


async def _told(desk: ClientWorkspace, program: Program) -> dict[str, str]:
    """What a program starts with: a file and a directory in the bucket, two files to upload."""
    server = desk.server
    assert isinstance(server, PartnerServer)
    await desk.put("seed.txt", b"seed")
    await desk.put("seeded/inner.txt", b"inner")
    (desk.local / "small").write_bytes(SMALL)
    (desk.local / "large").write_bytes(LARGE)
    return {
        "SFTP_HOST": server.host,
        "SFTP_PORT": str(server.port),
        "SFTP_USER": server.user,
        "SFTP_PASSWORD": server.password,
        "SFTP_KEY": str(server.keys[program.key]),
        "SFTP_KNOWN_HOSTS": str(server.known_hosts),
        "SFTP_REMOTE": desk.remote,
        "SFTP_LOCAL": str(desk.local),
        "HOME": str(desk.local.parent / "home"),
        "LC_ALL": "C.UTF-8",
    }
