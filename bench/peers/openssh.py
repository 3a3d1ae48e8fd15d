"""OpenSSH's sftp-server behind an sshd of its own, on the RAM disk: what the field is measured by."""

from __future__ import annotations

import os
from pathlib import Path

from bench.peers.peer import Command, PeerServer, Site, Storage

_SSHD = Path("/usr/sbin/sshd")
_SERVERS = (
    Path("/usr/lib/openssh/sftp-server"),
    Path("/usr/libexec/openssh/sftp-server"),
    Path("/usr/libexec/sftp-server"),
    Path("/usr/lib/ssh/sftp-server"),
)


class OpenSSH(PeerServer):
    """sshd with sftp-server."""

    name = "openssh"
    about = "OpenSSH's sftp-server behind its own sshd, files on the RAM disk"
    storage = Storage.FOLDER

    def missing(self) -> str:
        if not _SSHD.exists() or not _server():
            return "sshd is not installed (apt install openssh-server)"
        return ""

    def command(self, site: Site) -> Command:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it sheds its privileges
        config = site.directory / "sshd_config"
        config.write_text(_config(site))
        return Command([str(_SSHD), "-D", "-e", "-f", str(config)])

    def root(self, site: Site) -> str:
        return str(site.folder)


def _server() -> Path | None:
    return next((path for path in _SERVERS if path.exists()), None)


def _config(site: Site) -> str:
    return "\n".join(
        (
            f"Port {site.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {site.identity.host_key}",
            f"AuthorizedKeysFile {site.identity.authorized_keys}",
            "PidFile none",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin prohibit-password",
            "StrictModes no",
            "UsePAM no",
            "PrintMotd no",
            "MaxStartups 100",
            f"Subsystem sftp {_server()}",
            "",
        )
    )
