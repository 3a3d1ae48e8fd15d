"""restic on a repository over SFTP, which restic reaches through OpenSSH's ssh."""

from __future__ import annotations

from tests.support.client_workspace import ClientWorkspace
from tests.support.commands import Result, installed, run


async def restic(desk: ClientWorkspace, *words: str) -> Result:
    """A command of restic on the repository of a workspace."""
    server, home = desk.server, desk.local.parent / "home"
    ssh = (
        f"{installed('ssh')} -F none -i {server.key_file} -p {server.port} -o IdentitiesOnly=yes"
        f" -o BatchMode=yes -o UserKnownHostsFile={server.known_hosts} -o StrictHostKeyChecking=yes"
        f" {server.user}@{server.host} -s sftp"
    )
    command = [
        installed("restic"),
        "-o",
        f"sftp.command={ssh}",
        "-r",
        f"sftp:{server.host}:{desk.remote}/repository",
    ]
    environment = {"HOME": str(home), "RESTIC_PASSWORD": "secret", "RESTIC_CACHE_DIR": str(home / "cache")}
    return await run([*command, *words], environment, timeout=120)
